//! How addresses are written, and what people are told to try.

use std::path::{Path, PathBuf};

use super::invocation::{Invocation, quoted};
use super::ready::{Ready, ReadyApp};
use super::{Args, address, banner, process};
use crate::output::Output;

#[test]
fn addresses_are_read_as_people_write_them() {
    for (text, expected) in [
        ("127.0.0.1:7000", Some("127.0.0.1:7000")),
        ("localhost:7000", Some("127.0.0.1:7000")),
        (":7000", Some("127.0.0.1:7000")),
        ("[::1]:0", Some("[::1]:0")),
        ("0.0.0.0:80", Some("0.0.0.0:80")),
        ("7000", None),
        ("localhost", None),
        ("localhost:99999", None),
        ("example.com:7000", None),
    ] {
        let read = address(text).ok().map(|address| address.to_string());
        assert_eq!(read.as_deref(), expected, "{text}");
    }
}

#[test]
fn what_is_printed_is_one_word_of_a_shell() {
    for (text, expected) in [
        ("./target/release/wharf", "./target/release/wharf"),
        ("a b", "'a b'"),
        ("it's", r"'it'\''s'"),
        ("$HOME", "'$HOME'"),
        ("", "''"),
    ] {
        assert_eq!(quoted(text), expected);
    }
}

#[test]
fn a_gateway_that_is_not_found_by_itself_is_named() {
    let folder = Path::new("my state");
    let text = |text: &str| String::from(text);
    let told = |url: &str| {
        let app = ReadyApp {
            app: text("demo"),
            app_code: text("demo"),
            app_id: text("1"),
            key: text("k"),
            secret: text("s"),
            api_key: Some(text("a")),
        };
        let (gateway_url, admin_url) = (text(url), text("http://127.0.0.1:7001"));
        let ready = Ready { ready: true, gateway_url, admin_url, apps: vec![app] };
        banner::text(&ready, folder, &Invocation::new(folder))
    };
    for (url, sub, publish) in [
        ("http://127.0.0.1:7000", " --state-dir 'my state'\n", " --state-dir 'my state'\n"),
        (
            "http://192.0.2.1:7000",
            " --url http://192.0.2.1:7000 --app demo --key k\n",
            " --url http://192.0.2.1:7000 --app demo --api-key-file 'my state/api-key'\n",
        ),
    ] {
        let told = told(url);
        assert!(told.contains(&format!(" sub lobby{sub}")), "{told}");
        assert!(told.contains(&format!(r#"{{"hello":"world"}}'{publish}"#)), "{told}");
    }
}

#[test]
fn warnings_are_of_what_was_asked_for() {
    let warned = |listen: &str| {
        let args = Args {
            listen: listen.parse().expect("an address"),
            admin_listen: "127.0.0.1:0".parse().expect("an address"),
            state_dir: PathBuf::from(".wharf"),
            apps: None,
            output: Output::Text,
        };
        let checked = process::config(&args).check().expect("it can be served");
        process::warnings(args.listen, &checked.warnings)
    };
    assert_eq!(warned("127.0.0.1:7000"), [""; 0]);
    for listen in ["0.0.0.0:7000", "[::]:7000", "192.0.2.1:7000"] {
        let said = warned(listen);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].starts_with(&format!("--listen {listen} lets other")), "{said:?}");
    }
}
