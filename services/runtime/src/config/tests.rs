//! Rows C-01 to C-05 and E-01 to E-03 of the bad-input catalogue, and the value types.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::*;
use crate::Secret;

const MARK: &str = "hunter2-canary";

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Sample {
    name: String,
    hub: Hub,
    log: Log,
    secret: Secret<String>,
    token: Option<Secret<String>>,
    tls: Option<Tls>,
    origins: Vec<String>,
    apps: Vec<App>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Hub {
    shards: u16,
    ratio: f64,
    queue: ByteSize,
    wait: Span,
    max_connections: u32,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            shards: 2,
            ratio: 0.5,
            queue: ByteSize::kib(64),
            wait: Span::from_secs(10),
            max_connections: 100,
        }
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Log {
    format: Form,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Form {
    #[default]
    Pretty,
    Json,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tls {
    cert_file: PathBuf,
    key_file: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct App {
    key: String,
    limit: u8,
}

fn with(text: &str, variables: &[(&str, &str)]) -> Result<Sample, Error> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("gateway.toml");
    fs::write(&path, text).expect("a file");
    load_from(Some(&path), "WHARF_GATEWAY", environment(variables))
}

fn environment(variables: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    variables.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

#[track_caller]
fn check_says(result: Result<Sample, Error>, expected: &[&str]) {
    let text = result.expect_err("a bad configuration was accepted").to_string();
    for part in expected {
        assert!(text.contains(part), "expected {part:?} in: {text}");
    }
    assert!(!text.contains('\n'), "more than one line: {text}");
    assert!(!text.contains(MARK), "a value is shown: {text}");
}

#[test]
fn c01_a_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let big = folder.path().join("big.toml");
    fs::write(&big, vec![b'#'; (FILE_BYTES_MAX + 1) as usize]).expect("a file");
    let latin = folder.path().join("latin.toml");
    fs::write(&latin, b"name = 'a'\n# caf\xe9\n").expect("a file");
    let pipe = folder.path().join("pipe.toml");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.is_ok_and(|status| status.success()), "a named pipe");
    let nested = big.join("x");
    let rows: [(&Path, &str); 7] = [
        (Path::new("/nonexistent/gateway.toml"), "does not exist; create it"),
        (folder.path(), "is a directory"),
        (Path::new("/proc/self/mem"), "cannot be read"),
        (&big, "is larger than 4MiB"),
        (Path::new("/dev/zero"), "is larger than 4MiB"),
        (&pipe, "is a pipe"),
        (&nested, "has a file where a folder is named"),
    ];
    for (path, expected) in rows {
        let name = path.display().to_string();
        check_says(load_from(Some(path), "WHARF_GATEWAY", []), &[&name, expected]);
        let text = parse_toml::<Sample>(path).expect_err("unreadable").to_string();
        assert!(text.contains(expected), "{text}");
    }
    let text = load_from::<Sample>(Some(&latin), "W", []).expect_err("Latin-1").to_string();
    assert!(text.contains("latin.toml:2:6: is not UTF-8"), "{text}");
}

#[test]
fn c02_bad_toml_is_refused_with_its_place() {
    let deep = format!("name = {}", "[".repeat(100_000));
    let dotted = format!("{}a = 1", "a.".repeat(100_000));
    let rows = [
        ("name = ", "gateway.toml:1:"),
        ("name = 'a'\nname = 'b'\n", "gateway.toml:2:1: invalid TOML: duplicate key"),
        ("[hub]\nshards = 1\n[hub]\n", "gateway.toml:3:"),
        ("[hub]\n\tshards\t=\t4\n\twait = 10 s\n", "gateway.toml:3:"),
        ("name: gateway\n", "gateway.toml:1:"),
        ("base: &a [x, x]\nmore: [*a, *a]\n", "gateway.toml:1:"),
        ("name = 'hunter2-canary\n", "gateway.toml:1:"),
        ("[hub]\nshards = 99999999999999999999\n", "gateway.toml:2:"),
        ("name = \"a\u{1}b\"\n", "gateway.toml:1:"),
        (&deep, "nested too deeply"),
        (&dotted, "nested too deeply"),
    ];
    for (text, place) in rows {
        check_says(with(text, &[]), &[place]);
    }
}

#[test]
fn c03_an_unknown_key_comes_with_a_suggestion() {
    let rows = [
        (
            "[hub]\nmax_conection = 4\n",
            "gateway.toml:2:1: hub.max_conection: unknown key; did you mean `max_connections`?",
        ),
        ("[hub]\nshrads = 4\n", "hub.shrads: unknown key; did you mean `shards`?"),
        ("[hubs]\nshards = 4\n", "hubs: unknown key; did you mean `hub`?"),
        ("hub.shards_ = 4\n", "did you mean `shards`?"),
        ("[hub]\nMax-Connections = 4\n", "did you mean `max_connections`?"),
        ("[hub]\nfrobnicate = 4\n", "known keys here: shards, ratio, queue, wait, max_connections"),
        ("[log]\nformat = 'jsno'\n", "log.format: unknown value; did you mean `json`?"),
        (
            "[[apps]]\nkey = 'a'\nlimit = 1\n[[apps]]\nkey = 'b'\nlimt = 1\n",
            ":6:1: apps[1].limt: unknown key; did you mean `limit`?",
        ),
    ];
    for (text, expected) in rows {
        check_says(with(text, &[]), &[expected]);
    }
}

#[test]
fn c04_a_wrong_type_names_key_and_form() {
    let rows = [
        (
            "[hub]\nshards = 'hunter2-canary'\n",
            "gateway.toml:2:10: hub.shards: has the wrong type, string; write a whole number",
        ),
        ("hub = 4\n", "hub: has the wrong type, a whole number"),
        ("name = 4\n", "name: has the wrong type, a whole number; write a string"),
        ("secret = 1234567890\n", "secret: has the wrong type, a whole number; write a string"),
        ("[hub]\nshards = -1\n", "hub.shards: value is out of range; write u16"),
        ("[hub]\nshards = 65536\n", "hub.shards: value is out of range"),
        ("[hub]\nqueue = '64KB'\n", "hub.queue: unit is ambiguous; use KiB"),
        ("[hub]\nqueue = -1\n", "hub.queue: a size cannot be negative"),
        ("[hub]\nqueue = '17000000TiB'\n", "hub.queue: size is too large"),
        ("[hub]\nwait = 10\n", "hub.wait: unit missing; write ms, s, m, h or d"),
        ("[hub]\nwait = '-10s'\n", "hub.wait: a duration cannot be negative"),
        ("[hub]\nwait = '99999999999d'\n", "hub.wait: duration is longer than 100 years"),
        ("[[apps]]\nkey = 'a'\n", "apps[0].limit: is missing; set it"),
    ];
    for (text, expected) in rows {
        check_says(with(text, &[]), &[expected]);
    }
}

#[test]
fn c05_a_limit_outside_its_range_names_both_bounds() {
    for value in [0, 1, 4_097] {
        let error = check_range("hub.shards", &value, 2..=4_096).expect_err("out of range");
        let text = error.with_file(Path::new("gateway.toml")).to_string();
        assert_eq!(
            text,
            format!(
                "gateway.toml: hub.shards: {value} is out of range; use a value from 2 to 4096"
            )
        );
    }
    for value in [2, 4_096] {
        check_range("hub.shards", &value, 2..=4_096).expect("in range");
    }
}

#[test]
fn the_environment_lies_over_the_file_over_the_defaults() {
    let text = "name = 'file'\n[hub]\nshards = 3\nratio = 0.25\n";
    let sample = with(
        text,
        &[
            ("WHARF_GATEWAY__HUB__SHARDS", "4"),
            ("WHARF_GATEWAY__HUB__QUEUE", "1MiB"),
            ("WHARF_GATEWAY__HUB__WAIT", "250ms"),
            ("WHARF_GATEWAY__LOG__FORMAT", "json"),
            ("WHARF_GATEWAY__SECRET", "12345"),
            ("WHARF_GATEWAY__ORIGINS", "[\"a\", \"b\"]"),
            ("WHARF_GATEWAY_PORT", "tcp://10.0.0.1:80"),
            ("WHARF_OTHER__HUB__SHARDS", "9"),
        ],
    )
    .expect("a good configuration");
    assert_eq!((sample.name.as_str(), sample.hub.shards, sample.hub.ratio), ("file", 4, 0.25));
    assert_eq!((sample.hub.queue, sample.hub.wait), (ByteSize::mib(1), Span::from_millis(250)));
    assert_eq!(sample.hub.max_connections, 100);
    assert_eq!(sample.log.format, Form::Json);
    assert_eq!(sample.secret.expose(), "12345");
    assert_eq!(sample.origins, ["a", "b"]);
    let none: Sample = load_from(None, "WHARF_GATEWAY__", []).expect("defaults");
    assert_eq!(none.hub.shards, 2);
}

#[test]
fn a_variable_gives_what_the_file_lacks() {
    let both =
        [("WHARF_GATEWAY__TLS__CERT_FILE", "/c.pem"), ("WHARF_GATEWAY__TLS__KEY_FILE", "/k.pem")];
    let tls = with("", &both).expect("two variables make a section").tls.expect("a section");
    assert_eq!((tls.cert_file, tls.key_file), ("/c.pem".into(), "/k.pem".into()));
    with("[tls]\ncert_file = '/c.pem'\n", &both[1..]).expect("file and variable make one");
    check_says(with("", &both[..1]), &["CERT_FILE", "tls.key_file: is missing"]);
    check_says(with("[tls]\n", &both[..1]), &["is missing"]);
    check_says(with("[tls]\ncert_file = '/c'\n", &[]), &["gateway.toml:1:1: tls.key_file"]);
}

#[test]
fn a_fault_of_the_file_is_told_before_one_of_the_environment() {
    let bad = [("WHARF_GATEWAY__HUB__SHARDS", "x")];
    check_says(with("[hub]\nshrads = 1\n", &bad), &["gateway.toml:2:1: hub.shrads"]);
}

#[test]
fn e01_a_bad_variable_is_named_and_its_value_is_not() {
    let rows = [
        ("WHARF_GATEWAY__NAME", "", "value is empty"),
        ("WHARF_GATEWAY__NAME", "hunter2-canary\n", "contains a newline"),
        ("WHARF_GATEWAY__NAME", "\"hunter2-canary\"", "is wrapped in quotes"),
        ("WHARF_GATEWAY__NAME", "'hunter2-canary'", "is wrapped in quotes"),
        (
            "WHARF_GATEWAY__HUB__SHARDS",
            "hunter2-canary",
            "hub.shards: has the wrong type, string; write a whole number",
        ),
        ("WHARF_GATEWAY__HUB__SHARDS", "70000", "hub.shards: value is out of range"),
        ("WHARF_GATEWAY__HUB__SHRADS", "4", "hub.shrads: unknown key; did you mean `shards`?"),
        ("WHARF_GATEWAY__HUBS__SHARDS", "4", "hubs: unknown key; did you mean `hub`?"),
        ("WHARF_GATEWAY__HUB__QUEUE", "64KB", "hub.queue: unit is ambiguous; use KiB"),
        ("WHARF_GATEWAY__HUB__WAIT", "10", "hub.wait: unit missing"),
        ("WHARF_GATEWAY__LOG__FORMAT", "hunter2-canary", "log.format: unknown value"),
        ("WHARF_GATEWAY__NAME__FIRST", "hunter2-canary", "name"),
        ("WHARF_GATEWAY__HUB", "hunter2-canary", "hub: has the wrong type"),
        ("WHARF_GATEWAY____HUB", "4", "name is not a key"),
    ];
    for (name, value, expected) in rows {
        let named = format!("environment variable {name}");
        check_says(with("", &[(name, value)]), &[&named, expected]);
    }
    let bytes = OsString::from_vec(b"hunter2-canary\xff".to_vec());
    let result = load_from(None, "WHARF_GATEWAY", [("WHARF_GATEWAY__NAME".into(), bytes)]);
    check_says(result, &["environment variable WHARF_GATEWAY__NAME", "is not UTF-8"]);
    let twice = [("WHARF_GATEWAY__NAME", "a"), ("WHARF_GATEWAY__name", "b")];
    check_says(with("", &twice), &["sets the same key as"]);
    let value = [("WHARF_GATEWAY__NAME", "a"), ("WHARF_GATEWAY__NAME__FIRST", "b")];
    check_says(with("", &value), &["WHARF_GATEWAY__NAME__FIRST", "is a value, not a section"]);
}

#[test]
fn e02_a_value_and_its_file_together_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("secret");
    fs::write(&path, MARK).expect("a file");
    let path = path.to_str().expect("a UTF-8 path");
    let both = [("WHARF_GATEWAY__SECRET", MARK), ("WHARF_GATEWAY__SECRET_FILE", path)];
    check_says(
        with("", &both),
        &[
            "environment variable WHARF_GATEWAY__SECRET_FILE",
            "is set together with WHARF_GATEWAY__SECRET; keep one",
        ],
    );
}

#[test]
fn e03_a_value_is_read_from_a_file_without_its_last_newline() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("a file");
        path.to_str().expect("a UTF-8 path").to_owned()
    };
    let secret = |path: &str| with("", &[("WHARF_GATEWAY__SECRET_FILE", path)]);
    for (name, text, expected) in [
        ("plain", "s3cret", "s3cret"),
        ("newline", "s3cret\n", "s3cret"),
        ("windows", "s3cret\r\n", "s3cret"),
        ("number", "0123\n", "0123"),
        ("integer", "123\n", "123"),
        ("quotes", "\"q\"\n", "q"),
        ("lines", "a\nb\n", "a\nb"),
    ] {
        let sample = secret(&at(name, text)).expect("a good file");
        assert_eq!(sample.secret.expose(), expected, "{name}");
    }
    let shards = [("WHARF_GATEWAY__HUB__SHARDS_FILE", at("shards", "7\n"))];
    let shards = with("", &shards.each_ref().map(|(name, path)| (*name, path.as_str())));
    assert_eq!(shards.expect("a number in a file").hub.shards, 7);
    let token = at("token", "t0ken\n");
    let sample = with("", &[("WHARF_GATEWAY__TOKEN_FILE", &token)]).expect("a key not set before");
    assert_eq!(sample.token.expect("a token").expose(), "t0ken");
    let both = [("WHARF_GATEWAY__TOKEN", MARK), ("WHARF_GATEWAY__TOKEN_FILE", &token)];
    check_says(with("", &both), &["TOKEN_FILE: is set together with WHARF_GATEWAY__TOKEN"]);
    let missing = folder.path().join(MARK);
    let missing = missing.to_str().expect("a UTF-8 path");
    let named = "environment variable WHARF_GATEWAY__SECRET_FILE: names a file that";
    check_says(secret(missing), &[named, "does not exist"]);
    check_says(secret(&at("empty", "\n")), &[named, "is empty"]);
    check_says(secret("/dev/zero"), &[named, "is larger than"]);
}

#[test]
fn sizes_round_trip() {
    for (text, bytes, printed) in [
        ("0", 0, "0B"),
        ("1500", 1_500, "1500B"),
        ("1500B", 1_500, "1500B"),
        ("64KiB", 65_536, "64KiB"),
        ("65536", 65_536, "64KiB"),
        ("1MiB", 1 << 20, "1MiB"),
        ("3GiB", 3 << 30, "3GiB"),
        ("2TiB", 2 << 40, "2TiB"),
    ] {
        let size: ByteSize = text.parse().expect(text);
        assert_eq!((size.bytes(), size.to_string()), (bytes, printed.to_owned()));
        assert_eq!(printed.parse(), Ok(size));
        let json = serde_json::to_string(&size).expect("a size serialises");
        assert_eq!(serde_json::from_str::<ByteSize>(&json).expect("and back"), size);
    }
    assert_eq!(serde_json::from_str::<ByteSize>("65536").expect("an integer"), ByteSize::kib(64));
    for text in ["", "KiB", "64KB", "64k", "64 KiB", "1.5MiB", "-1", "1_000", "64XiB", "+1"] {
        assert!(text.parse::<ByteSize>().is_err(), "{text:?}");
    }
    assert_eq!("18446744073709551616".parse::<ByteSize>(), Err(size::ParseError::Overflow));
}

#[test]
fn spans_round_trip() {
    for (text, millis, printed) in [
        ("0s", 0, "0s"),
        ("250ms", 250, "250ms"),
        ("1000ms", 1_000, "1s"),
        ("90s", 90_000, "90s"),
        ("2m", 120_000, "2m"),
        ("24h", 86_400_000, "1d"),
        ("7d", 604_800_000, "7d"),
    ] {
        let span: Span = text.parse().expect(text);
        assert_eq!((span.as_millis(), span.to_string()), (millis, printed.to_owned()));
        assert_eq!(printed.parse(), Ok(span));
        let json = serde_json::to_string(&span).expect("a span serialises");
        assert_eq!(serde_json::from_str::<Span>(&json).expect("and back"), span);
    }
    for text in ["", "s", "10", "10 s", "10sec", "1.5s", "-1s", "36501d", "99999999999999999999s"] {
        assert!(text.parse::<Span>().is_err(), "{text:?}");
    }
    assert_eq!("10".parse::<Span>(), Err(span::ParseError::UnitMissing));
}

#[test]
fn a_printed_configuration_loads_again() {
    let text = toml::to_string_pretty(&Sample::default()).expect("defaults print");
    let sample = with(&text, &[]).expect("what was printed is valid");
    assert_eq!(sample.hub.queue, ByteSize::kib(64));
}
