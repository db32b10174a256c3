//! Keys that `wharf keygen` makes are keys that a gateway takes.

use std::path::Path;

use crate::process::{Dev, run};

fn generated(arguments: &[&str]) -> String {
    let arguments = [&["keygen"], arguments].concat();
    let said = run(Path::new("/"), &arguments);
    assert_eq!((said.code, &*said.err), (Some(0), ""), "{arguments:?}");
    said.out
}

#[test]
fn what_is_generated_is_what_a_gateway_takes() {
    for (arguments, prefix) in
        [(&["--app"][..], "whf_skl_"), (&["--app", "--development"], "whf_skd_")]
    {
        let printed = generated(arguments);
        assert!(printed.starts_with(prefix), "{printed}");
        let (_, toml) = printed.split_once('\n').expect("more than the key");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let apps = format!("[[app]]\ncode = \"mine\"\napp_id = \"7\"\n{toml}");
        std::fs::write(folder.path().join("apps.toml"), apps).expect("a file");
        // As it was printed: a file's first line is its key.
        std::fs::write(folder.path().join("key"), &printed).expect("a file");
        let dev = Dev::start_in(folder, ":0", &["--apps", "apps.toml"]);
        let publish = ["pub", "lobby", "x", "--api-key-file", "key"];
        let said = run(dev.path(), &publish);
        assert_eq!(said.code, Some(0), "{}", said.err);
        let said = run(dev.path(), &["sub", "private-x", "--timeout", "0.2"]);
        assert_eq!(said.code, Some(0), "{}", said.err);
    }
}

#[test]
fn each_key_is_another_and_json_says_the_same() {
    let json = |arguments: &[&str]| -> serde_json::Value {
        let arguments = [arguments, &["--output", "json"]].concat();
        serde_json::from_str(&generated(&arguments)).expect("one object")
    };
    let (one, other) = (json(&[]), json(&["--app"]));
    let key_id = one["key_id"].as_str().expect("an id");
    assert!(one["api_key"].as_str().is_some_and(|key| key.contains(key_id)), "{one}");
    assert_eq!(one["sha256"].as_str().map(str::len), Some(64));
    assert!(one.get("key").is_none() && one.get("secret").is_none(), "{one}");
    assert_eq!(other["key"].as_str().map(str::len), Some(20));
    assert_eq!(other["secret"].as_str().map(str::len), Some(64));
    assert_ne!(one["api_key"], other["api_key"]);
}
