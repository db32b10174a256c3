//! C and E: the rows that one start of the binary judges.

use super::{GOOD_APPS, Row, apps_file, config, variable};

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn gateway() -> Vec<Row> {
    let at = |line: u32| format!("gateway.toml:{line}:");
    vec![
        config("C-00", "nothing set: no fault", "", &["ok: 1 app(s)"]).well(),
        config("C-02", "no TOML", "listen = [", &["invalid TOML"]).naming(&at(1)),
        config("C-02", "YAML", "listen: 127.0.0.1:80\n", &["invalid TOML"]).naming(&at(1)),
        config("C-02", "JSON", "{\"shards\": 1}", &["invalid TOML"]).naming(&at(1)),
        config("C-02", "a key twice", "shards = 1\nshards = 2", &["duplicate key"]).naming(&at(2)),
        config("C-02", "a table twice", "[log]\n[tls]\n[log]", &["duplicate"]).naming(&at(3)),
        config("C-02", "a control character", "shards = \u{1}1", &["invalid TOML"]).naming(&at(1)),
        Row {
            config: b"shards = 1\n# \xff".to_vec(),
            ..config("C-02", "not UTF-8", "", &["is not UTF-8 text; save it as UTF-8"])
        }
        .naming(&at(2)),
        config("C-03", "unknown", "max_conection = 1", &["max_conection: unknown key"]),
        config(
            "C-03",
            "misspelt",
            "[limits]\nconections_max = 1",
            &["limits.conections_max", "did you mean `connections_max`?"],
        )
        .naming(&at(2)),
        config("C-03", "in the wrong table", "connections_max = 1", &["connections_max: unknown"]),
        config("C-04", "a word for a number", "shards = \"four\"", &["shards: has the wrong type"]),
        config("C-04", "a number for a table", "limits = 1", &["limits: has the wrong type"]),
        config("C-04", "64KB", "[limits]\nframe_bytes_max = \"64KB\"", &["KiB"])
            .naming("limits.frame_bytes_max"),
        config("C-04", "no unit", "[limits]\nmessage_timeout = 10", &["unit missing"])
            .naming("limits.message_timeout"),
        config("C-04", "negative", "shards = -1", &["shards"]),
        config("C-04", "beyond every number", "shards = 99999999999999999999", &["gateway.toml:1"]),
        config("C-04", "a fraction", "shards = 1.5", &["shards: has the wrong type"]),
        config("C-05", "0", "[limits]\nfragments_max = 0", &["out of range", "from 1 to 256"]),
        config(
            "C-05",
            "above the most",
            "[limits]\nframe_bytes_max = \"2MiB\"",
            &["limits.frame_bytes_max: 2MiB is out of range", "1MiB"],
        ),
        config(
            "C-05",
            "below the least",
            "[limits]\nstall_timeout = \"999ms\"",
            &["limits.stall_timeout: 999ms is out of range"],
        ),
        config(
            "C-06",
            "a queue smaller than a message",
            "[limits]\nqueue_bytes_max = \"8KiB\"",
            &["limits.queue_bytes_max: 8KiB is smaller than limits.message_bytes_max, 64KiB"],
        ),
        config(
            "C-06",
            "a frame larger than a message",
            "[limits]\nframe_bytes_max = \"128KiB\"",
            &["limits.message_bytes_max: 64KiB is smaller than limits.frame_bytes_max, 128KiB"],
        ),
        config(
            "C-07",
            "a port twice",
            "listen = [\"127.0.0.1:80\", \"127.0.0.1:80\"]",
            &["listen[1]: 127.0.0.1:80 is listed twice; remove one"],
        ),
        config(
            "C-07",
            "the admin's port",
            "listen = \"127.0.0.1:90\"\nadmin_listen = \"127.0.0.1:90\"",
            &["admin_listen: 127.0.0.1:90 is also in listen; give"],
        ),
        config(
            "C-08",
            "a certificate without its key",
            "[tls]\ncertificate = \"x.pem\"",
            &["tls.key: is missing beside tls.certificate; set both"],
        ),
        config(
            "C-11",
            "plain, not loopback",
            "listen = \"0.0.0.0:80\"",
            &[
                "listen: 0.0.0.0:80 is not a loopback address and there is no TLS",
                "allow_insecure = true",
            ],
        ),
        config(
            "C-11",
            "plain, not loopback, said so",
            "listen = \"0.0.0.0:80\"\nallow_insecure = true",
            &["warning: allow_insecure is set", "ok: 1 app(s)"],
        )
        .well(),
        config(
            "C-01",
            "a file of apps that is not there",
            "apps = \"elsewhere.toml\"",
            &["elsewhere.toml: does not exist; create it"],
        ),
        config("C-01", "a folder of apps", "apps = \".\"", &["is a directory; name the file"]),
        config("C-01", "an endless file of apps", "apps = \"/dev/zero\"", &["/dev/zero"]),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn apps() -> Vec<Row> {
    let key = |secret: &str| {
        format!(
            "[[app]]\ncode = \"demo\"\napp_id = \"1\"\n[[app.key]]\nkey = \"k\"\nsecret = {secret}\n"
        )
    };
    let with = |lines: &str| GOOD_APPS.replace("[[app.key]]", &format!("{lines}\n[[app.key]]"));
    let more = |lines: &str| format!("{GOOD_APPS}{lines}\n");
    let demo = "(app[0] is \"demo\")";
    let wide = "x".repeat(17);
    vec![
        apps_file("C-00", "no app", "", &["has no app; add an [[app]]"]),
        apps_file("C-02", "no TOML", "[[app]\n", &["apps.toml:1:", "invalid TOML"]),
        apps_file("C-03", "unknown", with("nmae = \"x\""), &["app[0].nmae: unknown key", "`name`"]),
        apps_file(
            "C-04",
            "an id that is a number",
            with("").replace("\"1\"", "1"),
            &["app[0].app_id: has the wrong type"],
        ),
        apps_file(
            "C-05",
            "a limit of 0",
            more("[app.limits]\nconnections_max = 0"),
            &["app[0].limits.connections_max: 0 is out of range", demo],
        ),
        apps_file(
            "C-06",
            "history without an age",
            more("[[app.rule]]\npattern = \"*\"\nhistory_size = 1"),
            &["app[0].rule[0].history_age: is 0s, but history_size is not 0; set", demo],
        ),
        apps_file(
            "C-06",
            "one pattern twice",
            more("[[app.rule]]\npattern = \"a\"\n[[app.rule]]\npattern = \"a\""),
            &["app[0].rule[1].pattern: is also that of app[0].rule[0]", demo],
        ),
        apps_file(
            "C-06",
            "echo in production",
            with("echo = true"),
            &["app[0].echo: is for development apps only; set environment"],
        ),
        apps_file(
            "C-10",
            "a placeholder",
            key("\"changeme-changeme\""),
            &["app[0].key[0].secret: is still a placeholder; write one of your own", demo],
        ),
        apps_file("C-10", "one letter throughout", key(&format!("\"{wide}\"")), &["a placeholder"]),
        // 16 bytes, so that existing Pusher credentials import (settled-gateway 20); not 32.
        apps_file(
            "C-10",
            "a secret of 15 bytes",
            key("\"0123456789abcde\""),
            &["app[0].key[0].secret: is shorter than 16 bytes; write one"],
        ),
        apps_file(
            "C-10",
            "no secret",
            key("\"\"").replace("secret = \"\"\n", ""),
            &["app[0].key[0].secret: is missing; set it, or secret_file"],
        ),
        apps_file(
            "C-10",
            "a secret and a file",
            more("secret_file = \"x\""),
            &["app[0].key[0].secret_file: is set beside secret; remove one"],
        ),
        apps_file(
            "C-10",
            "a secret's file that is not there",
            key("\"\"").replace("secret = \"\"", "secret_file = \"none\""),
            &["app[0].key[0].secret_file", "none: does not exist; create it", demo],
        ),
        apps_file(
            "C-23",
            "an origin with a path",
            with("allowed_origins = [\"https://a.example/x\"]"),
            &["app[0].allowed_origins[0]: has more than scheme, host and port; remove", demo],
        ),
        apps_file(
            "C-23",
            "any origin as *",
            with("allowed_origins = [\"*\"]"),
            &["app[0].allowed_origins[0]: `*` is not an origin; leave the list empty"],
        ),
        apps_file(
            "C-23",
            "a hash of the wrong length",
            more("[[app.api_key]]\nkey_id = \"7Qx2mB9dKfPz\"\nsha256 = \"abc\""),
            &["app[0].api_key[0].sha256: is not 64 lower-case hex digits; write"],
        ),
        apps_file(
            "C-23",
            "an unknown dialect",
            with("dialects = [\"smoke\"]"),
            &["app[0].dialects[0]: is no dialect of this gateway; use pusher, raw"],
        ),
        apps_file("C-23", "no dialect", with("dialects = []"), &["app[0].dialects: is empty; use"]),
        apps_file(
            "C-23",
            "a bad pattern",
            more("[[app.rule]]\npattern = \"a*b\""),
            &["app[0].rule[0].pattern: ", "one * at the end"],
        ),
        apps_file(
            "C-25",
            "an id twice",
            format!("{GOOD_APPS}{}", GOOD_APPS.replace("demo", "two")),
            &[
                "app[1].app_id: is also that of app[0].app_id; give each its own",
                "(app[1] is \"two\")",
            ],
        ),
        apps_file(
            "C-25",
            "a code twice",
            format!("{GOOD_APPS}{GOOD_APPS}"),
            &["app[1].code: is also"],
        ),
    ]
}

pub(super) fn variables() -> Vec<Row> {
    const SHARDS: &str = "WHARF_GATEWAY__SHARDS";
    const APPS: &str = "WHARF_GATEWAY__APPS";
    vec![
        variable("E-01", "not UTF-8", (APPS, b"hunter2hunter2hunter2\xff"), &[APPS]),
        variable("E-01", "empty", (APPS, b""), &[APPS]),
        variable("E-01", "a line break", (APPS, b"hunter2hunter2hunter2\nx"), &[APPS]),
        variable(
            "E-01",
            "quotes around a number",
            (SHARDS, b"\"hunter2hunter2hunter2\""),
            &[SHARDS],
        ),
        variable("E-01", "no number", (SHARDS, b"hunter2hunter2hunter2"), &[SHARDS]),
        variable(
            "E-01",
            "out of range",
            ("WHARF_GATEWAY__LIMITS__FRAGMENTS_MAX", b"0"),
            &["limits.fragments_max: 0 is out of range"],
        ),
        variable(
            "E-01",
            "unknown key",
            ("WHARF_GATEWAY__LIMITS__NONE", b"1"),
            &["WHARF_GATEWAY__LIMITS__NONE"],
        ),
        variable("E-02", "the key and its file", (SHARDS, b"1"), &[SHARDS])
            .also("WHARF_GATEWAY__SHARDS_FILE", "/dev/null")
            .naming("WHARF_GATEWAY__SHARDS_FILE"),
        variable(
            "E-03",
            "a file that is not there",
            ("WHARF_GATEWAY__SHARDS_FILE", b"/nowhere/at/all"),
            &["WHARF_GATEWAY__SHARDS_FILE: names a file that does not exist; create it"],
        ),
        variable("E-05", "RUST_LOG is garbage: ignored", ("RUST_LOG", b"=,=[[x"), &["ok: 1 app"])
            .well(),
        variable(
            "E-04",
            "proxies: ignored",
            ("HTTPS_PROXY", b"http://127.0.0.1:1"),
            &["ok: 1 app"],
        )
        .well(),
    ]
}
