//! Every range and every contradiction of `gateway.toml`, and the example file.

use std::path::{Path, PathBuf};

use super::*;

fn config(toml: &str) -> Result<Config, ConfigError> {
    runtime::config::parse_text(toml, Path::new("gateway.toml"))
}

fn check(toml: &str) -> Result<Checked, ConfigError> {
    config(toml).and_then(Config::check)
}

fn refused(toml: &str, parts: &[&str]) {
    let error = check(toml).expect_err(toml).to_string();
    for part in parts {
        assert!(error.contains(part), "{toml}\nwithout {part:?}: {error}");
    }
}

#[test]
fn example_file_is_the_defaults_and_is_kept_true() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("gateway.example.toml");
    let example = Config::example();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &example).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    assert_eq!(kept, example, "run the tests with UPDATE=1 to rewrite gateway.example.toml");
    assert_eq!(config(&example).unwrap(), Config::default());
    assert!(example.lines().all(|line| line.len() <= 100));
}

#[test]
fn what_is_rendered_reads_back_as_the_same() {
    let config = config(
        r#"
        listen = ["0.0.0.0:443", "[::]:443"]
        trusted_proxies = ["10.0.0.0/8"]
        apps = "a \"b\".toml"
        [tls]
        certificate = "c.pem"
        key = "k.pem"
        [log]
        format = "json"
        level = "debug"
        [shutdown]
        window = "90s"
        [limits]
        frames_per_second = 1234
        queue_bytes_max = "1MiB"
        "#,
    )
    .unwrap();
    let read_back: Config = runtime::config::parse_text(&config.render(), Path::new("x")).unwrap();
    assert_eq!(read_back, config);
}

#[test]
fn defaults_are_valid_and_say_nothing() {
    let checked = Config::default().check().unwrap();
    assert!(checked.warnings.is_empty(), "{:?}", checked.warnings);
    assert!(!checked.insecure);
    assert!(checked.shards >= 1);
    assert_eq!(checked.limits.queue_bytes_max, 256 * 1024);
    assert_eq!(checked.limits.message_timeout, Duration::from_secs(10));
}

/// C-05: each limit at 0, below its least and above its most.
#[test]
fn each_limit_is_refused_outside_its_range_by_name() {
    assert!(LimitsConfig::RANGES.len() >= 24);
    for (name, range) in LimitsConfig::RANGES {
        let (min, max) = range();
        let (number, unit) = split(&min);
        let below = format!("{}{unit}", number - 1);
        let (number, unit) = split(&max);
        let above = format!("{}{unit}", number + 1);
        let (_, zero_unit) = split(&min);
        for value in [format!("0{zero_unit}"), below, above] {
            let value = if value.ends_with(|c: char| c.is_ascii_digit()) {
                value
            } else {
                format!("\"{value}\"")
            };
            let toml = format!("[limits]\n{name} = {value}\n");
            let range = format!("from {} to {}", min.trim_matches('"'), max.trim_matches('"'));
            refused(&toml, &[&format!("limits.{name}: "), "out of range", &range]);
        }
    }
}

fn split(toml: &str) -> (u64, String) {
    let text = toml.trim_matches('"');
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    (text[..digits].parse().unwrap(), String::from(&text[digits..]))
}

/// What a stuck reader is closed for must not depend on which clock runs out first.
#[test]
fn stall_timeout_ends_before_any_heartbeat() {
    let (_, range) =
        LimitsConfig::RANGES.iter().find(|(name, _)| *name == "stall_timeout").unwrap();
    let most: Span = range().1.trim_matches('"').parse().unwrap();
    // The shortest heartbeat: a raw client's, 25 s of silence and 10 s for the answer.
    assert!(most.as_duration() < Duration::from_secs(35));
}

/// Row of the catalogue, file, parts of the error.
type Fault = (&'static str, &'static str, &'static [&'static str]);

const FAULTS: &[Fault] = &[
    ("C-02", "listen = [", &["gateway.toml:1", "invalid TOML"]),
    ("C-02", "shards = 1\nshards = 2", &["gateway.toml:2", "duplicate key"]),
    ("C-03", "shard = 4", &["shard: unknown key", "did you mean `shards`?"]),
    (
        "C-03",
        "[limits]\nmax_conection = 4",
        &["gateway.toml:2", "limits.max_conection: unknown key"],
    ),
    (
        "C-03",
        "[limits]\nconections_max = 4",
        &["limits.conections_max", "did you mean `connections_max`?"],
    ),
    ("C-04", "shards = \"four\"", &["shards: has the wrong type"]),
    ("C-04", "shards = -1", &["shards"]),
    ("C-04", "[limits]\nframe_bytes_max = \"64KB\"", &["limits.frame_bytes_max", "KiB"]),
    ("C-04", "[limits]\nmessage_timeout = 10", &["limits.message_timeout", "unit missing"]),
    ("C-04", "[limits]\nmessage_timeout = \"-1s\"", &["cannot be negative"]),
    ("C-04", "[limits]\ninbox_bytes_max = \"99999999999TiB\"", &["limits.inbox_bytes_max"]),
    ("C-04", "[log]\nformat = \"xml\"", &["log.format: unknown value", "pretty, json"]),
    ("C-05", "shards = 257", &["shards: 257 is out of range", "from 0 to "]),
    ("C-05", "forwarded_hops_max = 0", &["forwarded_hops_max: 0", "from 1 to 32"]),
    ("C-05", "[shutdown]\nwindow = \"2h\"", &["shutdown.window", "from 0s to 1h"]),
    (
        "C-06",
        "[limits]\nqueue_bytes_max = \"8KiB\"",
        &[
            "limits.queue_bytes_max: 8KiB is smaller than limits.message_bytes_max, 64KiB",
            "or lower",
        ],
    ),
    (
        "C-06",
        "[limits]\nframe_bytes_max = \"128KiB\"",
        &["limits.message_bytes_max: 64KiB is smaller than limits.frame_bytes_max, 128KiB"],
    ),
    (
        "C-06",
        "[limits]\nheader_bytes_max = \"1KiB\"",
        &["limits.header_bytes_max: 1KiB is smaller than limits.target_bytes_max, 4KiB"],
    ),
    ("C-07", "listen = [\"127.0.0.1:80\", \"127.0.0.1:80\"]", &["listen[1]", "listed twice"]),
    (
        "C-07",
        "listen = \"127.0.0.1:90\"\nadmin_listen = \"127.0.0.1:90\"",
        &["admin_listen: 127.0.0.1:90 is also in listen"],
    ),
    ("C-08", "[tls]\ncertificate = \"a.pem\"", &["tls.key: is missing"]),
    ("C-08", "[tls]\nkey = \"a.pem\"", &["tls.certificate: is missing"]),
    (
        "C-11",
        "listen = \"0.0.0.0:8080\"",
        &["listen: 0.0.0.0:8080 is not a loopback", "allow_insecure = true"],
    ),
    ("C-11", "listen = [\"127.0.0.1:80\", \"[::]:80\"]", &["[::]:80 is not a loopback"]),
    ("listen", "listen = []", &["listen: has 0 addresses"]),
    ("listen", "listen = \"localhost:8080\"", &["listen[0]: is not an IP", "127.0.0.1:8080"]),
    ("listen", "listen = 8080", &["listen: has the wrong type"]),
    ("admin", "admin_listen = \"8081\"", &["admin_listen: is not an IP"]),
    ("proxies", "trusted_proxies = [\"10.0.0.1/8\"]", &["trusted_proxies[0]", "write 10.0.0.0/8"]),
    ("proxies", "trusted_proxies = [\"::/129\"]", &["trusted_proxies[0]", "at most 128"]),
    ("proxies", "trusted_proxies = [\"proxy\"]", &["trusted_proxies[0]: is not an address"]),
    ("proxies", "trusted_proxies = [\"10.0.0.0/+8\"]", &["trusted_proxies[0]: is not an address"]),
];

#[test]
fn faults_name_the_key_and_the_fix() {
    for (id, toml, parts) in FAULTS {
        let error = check(toml).expect_err(id).to_string();
        for part in *parts {
            assert!(error.contains(part), "{id}: {toml}\nwithout {part:?}: {error}");
        }
    }
}

#[test]
fn plain_listeners_are_open_only_where_that_was_said() {
    let rows = [
        ("", false, 0),
        ("listen = \"[::1]:80\"", false, 0),
        ("listen = \"[::ffff:127.0.0.1]:80\"", false, 0),
        ("listen = \"0.0.0.0:80\"\nallow_insecure = true", true, 1),
        ("allow_insecure = true", false, 0),
        ("listen = \"0.0.0.0:80\"\n[tls]\ncertificate = \"c\"\nkey = \"k\"", false, 0),
        ("admin_listen = \"0.0.0.0:81\"", false, 1),
        ("trusted_proxies = [\"0.0.0.0/0\"]", false, 1),
    ];
    for (toml, insecure, warnings) in rows {
        let checked = check(toml).unwrap();
        assert_eq!(checked.insecure, insecure, "{toml}");
        assert_eq!(checked.warnings.len(), warnings, "{toml}: {:?}", checked.warnings);
    }
}

#[test]
fn environment_lies_over_the_file() {
    let variables =
        [("WHARF_GATEWAY__LIMITS__CONNECTIONS_MAX", "7"), ("WHARF_GATEWAY__LISTEN", "[::1]:9")];
    let config: Config = runtime::config::load_from(
        None,
        "WHARF_GATEWAY",
        variables.map(|(name, value)| (name.into(), value.into())),
    )
    .unwrap();
    let checked = config.check().unwrap();
    assert_eq!(checked.limits.connections_max, 7);
    assert_eq!(checked.listen, ["[::1]:9".parse::<SocketAddr>().unwrap()]);
}

#[test]
fn blocks_hold_their_addresses() {
    let rows = [
        ("10.0.0.0/8", "10.255.0.1", true),
        ("10.0.0.0/8", "11.0.0.1", false),
        ("10.0.0.0/8", "::ffff:10.1.1.1", true),
        ("192.0.2.7", "192.0.2.7", true),
        ("192.0.2.7", "192.0.2.8", false),
        ("0.0.0.0/0", "203.0.113.9", true),
        ("0.0.0.0/0", "::1", false),
        ("::/0", "2001:db8::1", true),
        ("2001:db8::/32", "2001:db8:ffff::1", true),
        ("2001:db8::/32", "2001:db9::1", false),
    ];
    for (block, address, inside) in rows {
        let parsed: Cidr = block.parse().unwrap();
        assert_eq!(parsed.contains(address.parse().unwrap()), inside, "{address} in {block}");
    }
}

/// E-08.
#[test]
fn connections_are_capped_to_the_descriptors() {
    for (limit, connections) in
        [(1_048_576, 1_047_552), (65_536, 64_512), (2_048, 1_024), (1_024, 256), (64, 16), (0, 1)]
    {
        assert_eq!(descriptors::connections_of(limit), connections, "{limit}");
    }
    assert_eq!(descriptors::connections_of(u64::MAX), u32::MAX);

    let mut few = Config::default().check().unwrap();
    few.limits.connections_max = 1;
    assert_eq!(cap_connections(&mut few), None);
    let mut many = Config::default().check().unwrap();
    many.limits.connections_max = u32::MAX;
    if let Some(warning) = cap_connections(&mut many) {
        assert!(many.limits.connections_max < u32::MAX);
        assert!(warning.to_string().contains("limits.connections_max is 4294967295"));
    }
}
