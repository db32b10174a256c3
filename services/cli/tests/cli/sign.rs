//! Signatures come out as Pusher's and ours are documented, whatever says the credentials.

use std::path::Path;

use crate::process::{Dev, run, wharf};

const KEY: &str = "278d425bdf160c739803";
const SECRET: &str = "7ad3773142a6692b25b8";

fn signed(arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("secret"), format!("{SECRET}\n")).expect("a file");
    let credentials = ["--key", KEY, "--secret-file", "secret"];
    let arguments: Vec<&str> =
        ["sign"].iter().chain(arguments).chain(&credentials).copied().collect();
    let said = run(folder.path(), &arguments);
    assert_eq!((said.code, &*said.err), (Some(0), ""), "{arguments:?}");
    String::from(said.out.trim_end())
}

#[test]
fn channels_are_signed_as_documented() {
    let auth = signed(&["channel", "--socket-id", "1234.1234", "--channel", "private-foobar"]);
    let digest = "58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4";
    assert_eq!(auth, format!("{KEY}:{digest}"));

    let data = r#"{"user_id":10,"user_info":{"name":"Mr. Channels"}}"#;
    let presence = ["channel", "--socket-id", "1234.1234", "--channel", "presence-foobar"];
    let presence = [&presence[..], &["--data", data, "--output", "json"]].concat();
    let answer: serde_json::Value = serde_json::from_str(&signed(&presence)).expect("JSON");
    let digest = "31935e7d86dba64c2a90aed31fdc61869f9b22ba9d8863bba239c03ca481bc80";
    assert_eq!(answer["auth"], format!("{KEY}:{digest}"));
    assert_eq!(answer["channel_data"], data);
}

#[test]
fn users_are_signed_as_documented() {
    let auth = signed(&["user", "--socket-id", "1234.1234", "--data", r#"{"id":"12345"}"#]);
    let digest = "4708d583dada6a56435fb8bc611c77c359a31eebde13337c16ab43aa6de336ba";
    assert_eq!(auth, format!("{KEY}:{digest}"));
}

#[test]
fn requests_are_signed_as_documented() {
    let body = r#"{"name":"foo","channels":["project-3"],"data":"{\"some\":\"data\"}"}"#;
    let request =
        ["request", "--path", "/apps/3/events", "--timestamp", "1353088179", "--body", body];
    assert_eq!(
        signed(&request),
        format!(
            "auth_key={KEY}&auth_timestamp=1353088179&auth_version=1.0\
             &body_md5=ec365a775a4cd0599faeb73354201b6f\
             &auth_signature=da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c"
        )
    );
}

#[test]
fn urls_are_signed_as_documented() {
    let url = ["url", "--url", "https://rt.example.com", "--app", "demo", "--channel", "private-x"];
    let url = [&url[..], &["--user-id", "7", "--expires-at", "1700000000"]].concat();
    assert_eq!(
        signed(&url),
        format!(
            "wss://rt.example.com/a/demo/raw?key={KEY}&channel=private-x&user_id=7\
             &expires=1700000000\
             &signature=b739b53b3412a12f88e4581dd0765a884d6c6f04d6418ad63f29ce4e81359bdc"
        )
    );
}

#[test]
fn the_variable_says_the_secret_too() {
    let arguments = ["sign", "channel", "--socket-id", "1234.1234", "--channel", "private-foobar"];
    let output = wharf(Path::new("/"), &arguments)
        .env("WHARF_KEY", KEY)
        .env("WHARF_SECRET", SECRET)
        .output()
        .expect("the binary runs");
    assert!(output.stdout.starts_with(format!("{KEY}:58df8b0c").as_bytes()));
}

#[test]
fn a_file_goes_before_the_variable() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let arguments = ["sign", "channel", "--socket-id", "1234.1234", "--channel", "private-foobar"];
    let arguments = [&arguments[..], &["--key", KEY, "--secret-file", "secret"]].concat();
    for (text, code) in [(format!("{SECRET}\nof the test app\n"), 0), (String::from("\n"), 2)] {
        std::fs::write(folder.path().join("secret"), text).expect("a file");
        let mut command = wharf(folder.path(), &arguments);
        let output = command.env("WHARF_SECRET", "another").output().expect("the binary runs");
        assert_eq!(output.status.code(), Some(code));
        let signed = output.stdout.starts_with(format!("{KEY}:58df8b0c").as_bytes());
        assert_eq!(signed, code == 0);
    }
}

#[test]
fn paths_are_signed_without_their_escapes() {
    let request =
        |path| signed(&["request", "--method", "GET", "--path", path, "--timestamp", "1353088179"]);
    let escaped = request("/apps/1/channels/presence-a%2Cb");
    assert_eq!(escaped, request("/apps/1/channels/presence-a,b"));
    assert_ne!(escaped, request("/apps/1/channels/presence-a;b"));
}

#[test]
fn what_cannot_be_signed_is_refused_with_the_way_out() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (arguments, code, words) in [
        (&["url"][..], 7, "no `wharf dev` runs"),
        (&["url"], 7, "say where the gateway is with --url and --app"),
        (&["url", "--channel", "a", "--channel", "presence-a"], 2, "--user-id ID"),
        (&["url", "--url", "http://h", "--app", "a"], 2, "--key KEY"),
        (&["url", "--url", "http://h", "--app", "a", "--key", "k"], 2, "--secret-file FILE"),
        (&["url", "--url", "http://h", "--key", "k"], 2, "--app CODE"),
        (&["url", "--channel", "a b"], 2, "1 to 200"),
        (&["channel", "--socket-id", "x", "--channel", "private-a"], 2, "1234.1234"),
        (&["channel", "--socket-id", "1.2", "--channel", "presence-a"], 2, "--data"),
        (&["user", "--socket-id", "1.2", "--data", "nonsense"], 2, "JSON object"),
        (&["user", "--socket-id", "1.2", "--data", "{}"], 7, "with --key and --secret-file"),
        (&["request", "--path", "/apps/1/events"], 7, "with --key and --secret-file"),
    ] {
        let arguments = [&["sign"], arguments].concat();
        let said = run(folder.path(), &arguments);
        assert_eq!(said.code, Some(code), "{arguments:?}: {}", said.err);
        assert!(said.err.contains(words), "{arguments:?}: {}", said.err);
        assert_eq!(said.out, "");
    }
}

#[test]
fn a_url_is_of_the_dev_process_of_its_folder() {
    let dev = Dev::start();
    let said = run(dev.path(), &["sign", "url", "--channel", "private-x"]);
    let gateway = dev.ready["gateway_url"].as_str().expect("a URL");
    let start = gateway.replacen("http", "ws", 1) + "/a/demo/raw?key=";
    assert!(said.out.starts_with(&start), "{}", said.out);
}
