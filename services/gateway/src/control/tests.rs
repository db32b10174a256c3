//! Every fault that a file of apps can have is refused by name, and the example file is kept true.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::{
    Access, App, AppCode, AppId, AppState, ChannelName, Environment, Retention, SlowConsumer,
};

use super::limits::AppLimitsConfig;
use super::{conflicts, example, load};
use crate::config::{Config, Warning};

const SECRET: &str = "canary-0123456789abcdef";

/// A folder with `apps.toml` that only its owner reads.
fn written(toml: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("apps.toml");
    write(&path, toml, 0o600);
    (folder, path)
}

fn write(path: &Path, text: &str, mode: u32) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn apps(toml: &str) -> (Vec<App>, Vec<Warning>) {
    let (_folder, path) = written(toml);
    load(&path).unwrap_or_else(|error| panic!("{error}\n{toml}"))
}

fn refusal(toml: &str) -> String {
    let (_folder, path) = written(toml);
    load(&path).map(drop).expect_err(toml).to_string()
}

/// One app that is right but for what `lines` add to it and `below` adds after its key.
fn app(lines: &str, below: &str) -> String {
    format!(
        "[[app]]\ncode = \"demo\"\napp_id = \"1\"\n{lines}\n[[app.key]]\nkey = \"demo-key\"\n\
         secret = \"{SECRET}\"\n{below}\n"
    )
}

#[test]
fn example_file_is_kept_true() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("apps.example.toml");
    let example = example();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &example).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    assert_eq!(kept, example, "run the tests with UPDATE=1 to rewrite apps.example.toml");
    assert!(example.lines().all(|line| line.len() <= 100));

    assert!(refusal(&example).contains("app[0].key[0].secret: is still a placeholder"));
    let (mut found, warnings) = apps(&example.replace("changeme", SECRET));
    assert!(warnings.is_empty(), "{warnings:?}");
    let app = found.remove(0);
    assert_eq!(app.limits, model::AppLimits::default());
    assert_eq!(app.dialects.len(), protocol::PROTOCOLS.len());

    let with_api_key = example
        .replace("changeme", SECRET)
        .replace("# [[app.api_key]]", "[[app.api_key]]")
        .replace("# key_id =", "key_id =")
        .replace("# sha256 = \"64 lower-case hex digits\"", &format!("sha256 = \"{:064x}\"", 7));
    assert_eq!(apps(&with_api_key).0[0].api_keys[0].key_id, "7Qx2mB9dKfPz");
}

#[test]
fn app_is_read_as_written() {
    let (found, warnings) = apps(&app(
        r#"
        name = "Demo"
        state = "disabled"
        environment = "development"
        dialects = ["pusher", "raw"]
        allowed_origins = ["HTTPS://App.Example.com:443", "https://app.example.com", "null"]
        client_events = true
        subscription_counts = true
        echo = true
        "#,
        r#"
        [[app.key]]
        key = "second.key_-"
        secret = "0123456789abcdef"
        [[app.api_key]]
        key_id = "7Qx2mB9dKfPz"
        sha256 = "00000000000000000000000000000000000000000000000000000000000000ff"
        [app.limits]
        connections_max = 5
        payload_bytes_max = "10KiB"
        cache_age = "1h"
        [[app.rule]]
        pattern = "room-*"
        subscribe = "signed"
        publish = "server"
        presence = false
        history_size = 100
        history_age = "1h"
        cache = true
        slow_consumer = "close"
        [[app.rule]]
        pattern = "open"
        "#,
    ));
    assert!(warnings.is_empty(), "{warnings:?}");
    let app = &found[0];
    assert_eq!((app.id, &app.code), (AppId(1), &AppCode::parse("demo").unwrap()));
    assert_eq!((app.state, app.environment), (AppState::Disabled, Environment::Development));
    assert_eq!(app.dialects, ["pusher", "raw"]);
    assert_eq!(app.origins, ["https://app.example.com", "null"]);
    assert!(app.client_events && app.subscription_counts && app.echo);
    assert_eq!(app.keys[0].secret, SECRET.as_bytes());
    assert_eq!(app.keys[1].key, "second.key_-");
    assert_eq!(app.api_keys[0].sha256[31], 255);
    assert_eq!((app.limits.connections_max, app.limits.payload_bytes_max), (5, 10 * 1024));
    assert_eq!(app.limits.cache_age, Duration::from_secs(3_600));
    let rule = |name: &str| app.rules.find(&ChannelName::parse(name).unwrap()).clone();
    let room = rule("room-1");
    assert_eq!((room.subscribe, room.publish), (Access::Signed, Access::Server));
    assert_eq!(room.history, Retention { size: 100, age: Duration::from_secs(3_600) });
    assert!(!room.presence && room.cache && room.slow_consumer == SlowConsumer::Close);
    let open = rule("open");
    assert_eq!((open.subscribe, open.publish), (Access::Anyone, Access::Signed));
    assert!(open.presence && open.history.is_off() && !open.cache);
}

#[test]
fn short_app_has_safe_defaults() {
    let (found, _) = apps(&app("", ""));
    let app = &found[0];
    assert_eq!((app.state, app.environment), (AppState::Active, Environment::Production));
    assert_eq!(app.dialects.len(), protocol::PROTOCOLS.len());
    assert!(!app.echo && !app.client_events && !app.subscription_counts);
    assert!(app.origins.is_empty() && app.api_keys.is_empty());
    assert_eq!(app.limits, model::AppLimits::default());
}

/// Row of the catalogue; lines of the app before its first key, and after it; parts of the error.
type Fault = (&'static str, &'static str, &'static str, &'static [&'static str]);

const FAULTS: &[Fault] = &[
    ("C-03", "enviroment = \"x\"", "", &["enviroment: unknown key", "did you mean `environment`?"]),
    (
        "C-03",
        "",
        "secert = \"x\"",
        &["app[0].key[0].secert: unknown key", "did you mean `secret`?"],
    ),
    (
        "C-03",
        "",
        "[app.limits]\nmax_connections = 1",
        &["app[0].limits.max_connections: unknown key"],
    ),
    (
        "C-03",
        "",
        "[[app.rule]]\npattern = \"a\"\nhistroy_size = 1",
        &["app[0].rule[0].histroy_size", "`history_size`?"],
    ),
    ("C-04", "state = \"actve\"", "", &["app[0].state: unknown value", "did you mean `active`?"]),
    ("C-04", "echo = \"yes\"", "", &["app[0].echo: has the wrong type"]),
    (
        "C-04",
        "",
        "[app.limits]\npayload_bytes_max = \"64KB\"",
        &["app[0].limits.payload_bytes_max"],
    ),
    ("C-04", "", "[app.limits]\ncache_age = 60", &["app[0].limits.cache_age: unit missing"]),
    (
        "C-04",
        "",
        "[[app.rule]]\npattern = \"a\"\nsubscribe = \"all\"",
        &["app[0].rule[0].subscribe: unknown value", "anyone, signed, server"],
    ),
    (
        "C-04",
        "",
        "[[app.rule]]\npattern = \"a\"\nslow_consumer = \"drop\"",
        &["app[0].rule[0].slow_consumer"],
    ),
    (
        "C-05",
        "",
        "[[app.rule]]\npattern = \"a\"\nhistory_size = 10001\nhistory_age = \"1h\"",
        &["rule[0].history_size: 10001 is out of range", "from 0 to 10000"],
    ),
    (
        "C-05",
        "",
        "[[app.rule]]\npattern = \"a\"\nhistory_size = 1\nhistory_age = \"31d\"",
        &["rule[0].history_age: 31d is out of range", "from 0s to 30d"],
    ),
    (
        "C-06",
        "",
        "[[app.rule]]\npattern = \"a\"\nhistory_size = 1",
        &["rule[0].history_age: is 0s, but history_size is not 0"],
    ),
    (
        "C-06",
        "",
        "[[app.rule]]\npattern = \"a\"\nhistory_age = \"1h\"",
        &["rule[0].history_size: is 0, but history_age is not 0s"],
    ),
    (
        "C-10",
        "",
        "[[app.key]]\nkey = \"k\"\nsecret = \"changeme\"",
        &["app[0].key[1].secret: is still a placeholder", "openssl"],
    ),
    (
        "C-10",
        "",
        "[[app.key]]\nkey = \"k\"\nsecret = \"Change-Me-0123456789\"",
        &["is still a placeholder"],
    ),
    (
        "C-10",
        "",
        "[[app.key]]\nkey = \"k\"\nsecret = \"xxxxxxxxxxxxxxxxxxxx\"",
        &["is still a placeholder"],
    ),
    ("C-10", "", "[[app.key]]\nkey = \"k\"\nsecret = \"\"", &["is still a placeholder"]),
    (
        "C-10",
        "",
        "[[app.key]]\nkey = \"k\"\nsecret = \"0123456789abcde\"",
        &["is shorter than 16 bytes"],
    ),
    (
        "C-23",
        "allowed_origins = [\"*\"]",
        "",
        &["app[0].allowed_origins[0]", "leave the list empty"],
    ),
    (
        "C-23",
        "allowed_origins = [\"null\", \"https://a/b\"]",
        "",
        &["app[0].allowed_origins[1]", "remove what follows"],
    ),
    (
        "C-23",
        "allowed_origins = [\"a.example\"]",
        "",
        &["app[0].allowed_origins[0]: has no scheme"],
    ),
    (
        "C-23",
        "",
        "[[app.api_key]]\nkey_id = \"7Qx2mB9dKfPz\"\nsha256 = \"abcd\"",
        &["app[0].api_key[0].sha256: is not 64 lower-case hex digits"],
    ),
    (
        "C-23",
        "",
        "[[app.api_key]]\nkey_id = \"short\"\nsha256 = \"\"",
        &["app[0].api_key[0].key_id: is no key id"],
    ),
    (
        "dialects",
        "dialects = [\"raw\", \"puhser\"]",
        "",
        &["app[0].dialects[1]: is no dialect", "pusher, raw"],
    ),
    ("dialects", "dialects = []", "", &["app[0].dialects: is empty"]),
    ("dialects", "dialects = [\"raw\", \"raw\"]", "", &["app[0].dialects[1]: is listed twice"]),
    ("echo", "echo = true", "", &["app[0].echo: is for development apps only"]),
    (
        "echo",
        "echo = true\nenvironment = \"development\"\ndialects = [\"pusher\"]",
        "",
        &["app[0].echo: needs the raw dialect"],
    ),
    (
        "key",
        "",
        "[[app.key]]\nkey = \"a b\"\nsecret = \"0123456789abcdef\"",
        &["app[0].key[1].key: is no key"],
    ),
    (
        "key",
        "",
        "[[app.key]]\nkey = \"\"\nsecret = \"0123456789abcdef\"",
        &["app[0].key[1].key: is no key"],
    ),
    ("key", "", "[[app.key]]\nkey = \"k\"", &["app[0].key[1].secret: is missing", "secret_file"]),
    ("key", "", "secret_file = \"x\"", &["app[0].key[0].secret_file: is set beside secret"]),
    ("key", "", "[[app.key]]\nsecret = \"0123456789abcdef\"", &["app[0].key[1].key: is missing"]),
    (
        "pattern",
        "",
        "[[app.rule]]\npattern = \"a*b\"",
        &["app[0].rule[0].pattern", "one * at the end"],
    ),
    ("pattern", "", "[[app.rule]]\npattern = \"\"", &["app[0].rule[0].pattern: is empty"]),
    (
        "pattern",
        "",
        "[[app.rule]]\npattern = \"a\"\n[[app.rule]]\npattern = \"b\"\n[[app.rule]]\npattern = \"a\"",
        &["app[0].rule[2].pattern: is also that of app[0].rule[0]"],
    ),
];

/// Each of these names the file, the app and its code, the key, and says what to write.
#[test]
fn faults_of_an_app_name_it_and_the_fix() {
    for (id, lines, below, parts) in FAULTS {
        let toml = app(lines, below);
        let error = refusal(&toml);
        for part in ["apps.toml", "(app[0] is \"demo\")", "; "].iter().chain(*parts) {
            assert!(error.contains(part), "{id}: {error}\nwithout {part:?} for\n{toml}");
        }
        assert!(!error.contains(SECRET) && !error.contains('\n'), "{id}: {error}");
    }
}

#[test]
fn too_long_and_too_many_is_refused() {
    let rules: String = (0..101).map(|n| format!("[[app.rule]]\npattern = \"r{n}\"\n")).collect();
    let keys: String = (0..50)
        .map(|n| format!("[[app.key]]\nkey = \"k{n}\"\nsecret = \"0123456789abcdef\"\n"))
        .collect();
    let key =
        |key: &str, secret: &str| format!("[[app.key]]\nkey = \"{key}\"\nsecret = \"{secret}\"");
    let rows = [
        (app(&format!("name = \"{}\"", "x".repeat(101)), ""), "app[0].name: is too long"),
        (app("", &rules), "app[0].rule: 101 is out of range; use a value from 0 to 100"),
        (app("", &keys), "app[0].key: 51 is out of range; use a value from 1 to 50"),
        (app("", &key(&"k".repeat(129), SECRET)), "app[0].key[1].key: is no key; use 1 to 128"),
        (app("", &key("k", &SECRET.repeat(50))), "app[0].key[1].secret: is longer than 1024 bytes"),
    ];
    for (toml, part) in rows {
        let error = refusal(&toml);
        assert!(error.contains(part), "{error}\nwithout {part}");
    }
}

const FILE_FAULTS: &[(&str, &str, &[&str])] = &[
    ("C-02", "[[app]]\ncode = ", &["apps.toml:2", "invalid TOML"]),
    ("C-02", "[[app]]\ncode = \"a\"\ncode = \"b\"", &["apps.toml:3", "duplicate key"]),
    ("C-03", "[[apps]]\ncode = \"a\"", &["unknown key", "did you mean `app`?"]),
    ("C-04", "app = 3", &["app: has the wrong type"]),
    ("C-24", "", &["apps.toml: has no app"]),
    ("missing", "[[app]]\ncode = \"a\"", &["app[0].app_id: is missing", "(app[0] is \"a\")"]),
    ("missing", "[[app]]\napp_id = \"1\"", &["app[0].code: is missing"]),
    (
        "missing",
        "[[app]]\ncode = \"a\"\napp_id = \"1\"",
        &["app[0].key: is missing", "[[app.key]]"],
    ),
    ("code", "[[app]]\ncode = \"Demo\"\napp_id = \"1\"", &["app[0].code: has a character", "a-z"]),
    ("code", "[[app]]\ncode = \"-a\"\napp_id = \"1\"", &["app[0].code: has a character"]),
    ("app_id", "[[app]]\ncode = \"a\"\napp_id = \"01\"", &["app[0].app_id: is not a decimal"]),
    ("app_id", "[[app]]\ncode = \"a\"\napp_id = \"x\"", &["app[0].app_id: is not a decimal"]),
    ("app_id", "[[app]]\ncode = \"a\"\napp_id = 1", &["app[0].app_id: has the wrong type"]),
];

#[test]
fn faults_of_the_file_name_it_and_the_fix() {
    for (id, toml, parts) in FILE_FAULTS {
        let error = refusal(toml);
        for part in ["apps.toml"].iter().chain(*parts) {
            assert!(error.contains(part), "{id}: {error}\nwithout {part:?} for\n{toml}");
        }
    }
}

/// C-25.
#[test]
fn what_two_apps_share_is_refused_naming_both() {
    let two = |code: &str, id: &str, key: &str, key_id: &str| {
        let digest = format!("{:064x}", 1);
        let one =
            app("", &format!("[[app.api_key]]\nkey_id = \"7Qx2mB9dKfPz\"\nsha256 = \"{digest}\""));
        format!(
            "{one}[[app]]\ncode = \"{code}\"\napp_id = \"{id}\"\n[[app.key]]\nkey = \"first\"\n\
             secret = \"{SECRET}\"\n[[app.key]]\nkey = \"{key}\"\nsecret = \"{SECRET}\"\n\
             [[app.api_key]]\nkey_id = \"{key_id}\"\nsha256 = \"{digest}\"\n"
        )
    };
    assert_eq!(apps(&two("other", "2", "other-key", "7Qx2mB9dKfPy")).0.len(), 2);
    let rows = [
        (two("demo", "2", "k", "7Qx2mB9dKfPy"), "app[1].code: is also that of app[0].code"),
        (two("b", "1", "k", "7Qx2mB9dKfPy"), "app[1].app_id: is also that of app[0].app_id"),
        (
            two("b", "2", "demo-key", "7Qx2mB9dKfPy"),
            "app[1].key[1].key: is also that of app[0].key[0].key",
        ),
        (
            two("b", "2", "first", "7Qx2mB9dKfPy"),
            "app[1].key[1].key: is also that of app[1].key[0].key",
        ),
        (
            two("b", "2", "k", "7Qx2mB9dKfPz"),
            "app[1].api_key[0].key_id: is also that of app[0].api_key[0].key_id",
        ),
    ];
    for (toml, expected) in rows {
        let error = refusal(&toml);
        assert!(error.contains(expected), "{error}");
        assert!(error.contains("(app[1] is "), "{error}");
    }
}

/// C-05 for the limits of an app.
#[test]
fn each_limit_of_an_app_is_refused_outside_its_range_by_name() {
    for (name, range) in AppLimitsConfig::RANGES {
        let (min, max) = range();
        let step = |toml: &str, by: i64| {
            let text = toml.trim_matches('"');
            let digits = text.bytes().take_while(u8::is_ascii_digit).count();
            let number = text[..digits].parse::<i64>().unwrap() + by;
            let unit = &text[digits..];
            if unit.is_empty() { number.to_string() } else { format!("\"{number}{unit}\"") }
        };
        for value in [step(&min, -1), step(&max, 1)] {
            let error = refusal(&app("", &format!("[app.limits]\n{name} = {value}")));
            let expected =
                format!("app[0].limits.{name}: {} is out of range", value.trim_matches('"'));
            assert!(error.contains(&expected), "{error}");
            let expected = format!("from {} to {}", min.trim_matches('"'), max.trim_matches('"'));
            assert!(error.contains(&expected), "{error}");
        }
    }
}

#[test]
fn secret_can_live_in_a_file_beside_the_apps() {
    let (folder, path) = written(
        "[[app]]\ncode = \"demo\"\napp_id = \"1\"\n[[app.key]]\nkey = \"k\"\nsecret_file = \"demo.secret\"\n",
    );
    let secret = folder.path().join("demo.secret");
    write(&secret, &format!("{SECRET}\n"), 0o600);
    let (found, warnings) = load(&path).unwrap();
    assert_eq!(found[0].keys[0].secret, SECRET.as_bytes());
    assert!(warnings.is_empty());

    std::fs::remove_file(&secret).unwrap();
    let error = load(&path).map(drop).unwrap_err().to_string();
    assert!(error.contains("demo.secret: does not exist"), "{error}");
    assert!(error.contains("(app[0] is \"demo\")"), "{error}");

    write(&secret, "changeme\n", 0o600);
    let error = load(&path).map(drop).unwrap_err().to_string();
    assert!(error.contains("app[0].key[0].secret_file: is still a placeholder"), "{error}");
}

/// C-09.
#[test]
fn secrets_that_everybody_may_read_are_warned_of() {
    let (folder, path) =
        written(&app("", "[[app.key]]\nkey = \"k\"\nsecret_file = \"demo.secret\""));
    let secret = folder.path().join("demo.secret");
    write(&secret, SECRET, 0o604);
    write(&path, &std::fs::read_to_string(&path).unwrap(), 0o644);
    let (_, warnings) = load(&path).unwrap();
    let texts: Vec<String> = warnings.iter().map(Warning::to_string).collect();
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(texts[0].contains("apps.toml holds secrets") && texts[0].contains("chmod 640"));
    assert!(texts[1].contains("demo.secret holds secrets"));
}

/// C-01.
#[test]
fn file_that_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let missing = load(&folder.path().join("apps.toml")).map(drop).unwrap_err().to_string();
    assert!(missing.contains("apps.toml: does not exist; create it"), "{missing}");
    let directory = load(folder.path()).map(drop).unwrap_err().to_string();
    assert!(directory.contains("is a directory"), "{directory}");
    let endless = load(Path::new("/dev/zero")).map(drop).unwrap_err().to_string();
    assert!(endless.contains("is larger than"), "{endless}");
}

/// C-06, between the two files.
#[test]
fn payloads_larger_than_any_queue_are_warned_of() {
    let limits = Config::default().check().unwrap().limits;
    let (found, _) = apps(&app("", "[app.limits]\npayload_bytes_max = \"1MiB\""));
    let warnings = conflicts(&found, &limits);
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].to_string().contains("app \"demo\" allows payloads of 1048576 bytes"));
    assert!(conflicts(&apps(&app("", "")).0, &limits).is_empty());
}
