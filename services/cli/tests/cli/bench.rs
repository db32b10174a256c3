//! `wharf bench` without flags measures the dev process of its folder.

use crate::process::{Dev, run};

const SHORT: [&str; 6] = ["--connections", "2", "--duration", "500ms", "--warm-up", "100ms"];

#[test]
fn the_dev_process_of_the_folder_is_found() {
    let dev = Dev::start();
    let gateway = dev.ready["gateway_url"].as_str().expect("a URL");
    let authority = gateway.strip_prefix("http://").expect("a URL");
    for mode in
        [&["echo"][..], &["fan-out"], &["fan-out", "--dialect", "pusher", "--publish", "http"]]
    {
        let arguments = [&["bench"], mode, &SHORT].concat();
        let said = run(dev.path(), &arguments);
        assert_eq!(said.code, Some(0), "{arguments:?}: {}", said.err);
        assert!(said.out.contains(authority), "{}", said.out);
    }
    let said = run(dev.path(), &["bench", "echo", "--app", "other"]);
    assert_eq!(said.code, Some(2), "{}", said.err);
    assert!(said.err.contains("--app is of demo"), "{}", said.err);
}

#[test]
fn without_one_the_flags_are_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let gateway = ["--gateway", "ws://127.0.0.1:1"];
    for (arguments, code, words) in [
        (&["echo"][..], 7, "--gateway, --app and --key, or with --url"),
        (&["echo", gateway[0], gateway[1]], 2, "--app CODE"),
        (&["echo", gateway[0], gateway[1], "--app", "demo"], 2, "--key KEY"),
    ] {
        let said = run(folder.path(), &[&["bench"], arguments].concat());
        assert_eq!(said.code, Some(code), "{arguments:?}: {}", said.err);
        assert!(said.err.contains(words), "{arguments:?}: {}", said.err);
    }
}
