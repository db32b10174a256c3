//! What `wharf pub` sends is what `wharf sub` prints, and failures say which flag mends them.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use crate::process::{Dev, Running, run, run_with_input, wharf};

fn listen(dev: &Dev, arguments: &[&str]) -> Running {
    let arguments = [&["sub"], arguments].concat();
    let mut sub = Running::start(dev.path(), &arguments);
    sub.until_said("listening to ");
    sub
}

#[test]
fn what_is_published_is_printed_as_it_is() {
    let dev = Dev::start();
    let mut sub = listen(&dev, &["lobby", "--count", "4", "--timeout", "10"]);
    let begun = Instant::now();
    let published = run(dev.path(), &["pub", "lobby", r#"{"hello":"world"}"#]);
    assert_eq!((published.code, &*published.err), (Some(0), ""));
    assert_eq!(published.out.trim_end().len(), 32, "{}", published.out);
    assert_eq!(sub.line(), r#"{"hello":"world"}"#);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());

    let published = run(dev.path(), &["pub", "lobby", "  1.0 \u{1f6a2}", "--output", "json"]);
    let answer: serde_json::Value = serde_json::from_str(&published.out).expect("JSON");
    assert!(answer["id"].is_string() && !answer["position"].is_null(), "{answer}");
    assert_eq!(sub.line(), "  1.0 \u{1f6a2}");

    assert_eq!(run_with_input(dev.path(), &["pub", "lobby", "-"], b"from a pipe\n").code, Some(0));
    assert_eq!(sub.line(), "from a pipe");

    std::fs::write(dev.path().join("bytes"), [0, 1, 255]).expect("a file");
    assert_eq!(run(dev.path(), &["pub", "lobby", "--binary-file", "bytes"]).code, Some(0));
    assert_eq!(sub.line(), "base64:AAH/");
    assert_eq!(sub.end().code(), Some(0));
}

#[test]
fn several_channels_are_told_apart() {
    let dev = Dev::start();
    let arguments = ["sub", "a", "b", "--output", "json", "--count", "2", "--timeout", "10"];
    let mut sub = Running::start(dev.path(), &arguments);
    sub.until_said("listening to ");
    sub.until_said("listening to ");
    run(dev.path(), &["pub", "a", "1"]);
    assert_eq!(sub.line(), r#"{"channel":"a","data":"1"}"#);
    run(dev.path(), &["pub", "b", "2"]);
    assert_eq!(sub.line(), r#"{"channel":"b","data":"2"}"#);
    assert_eq!(sub.end().code(), Some(0));
}

#[test]
fn signed_channels_are_signed_for() {
    let dev = Dev::start();
    for arguments in [&["private-x"][..], &["presence-x", "--user-id", "7"]] {
        let mut sub = listen(&dev, &[arguments, &["--count", "1", "--timeout", "10"]].concat());
        assert_eq!(run(dev.path(), &["pub", arguments[0], "psst"]).code, Some(0));
        assert_eq!(sub.line(), "psst");
        assert_eq!(sub.end().code(), Some(0));
    }
}

#[test]
fn time_outs_and_refusals_have_their_codes() {
    let dev = Dev::start();
    let gateway = dev.ready["gateway_url"].as_str().expect("a URL");
    let elsewhere = ["--url", gateway, "--app", "demo"];
    let key = dev.ready["apps"][0]["key"].as_str().expect("a key");
    for (arguments, code, words) in [
        (&["sub", "lobby", "--timeout", "0.2"][..], 0, "listening"),
        (&["sub", "lobby", "--timeout", "0.2", "--count", "1"], 7, "0 of 1 messages"),
        (&["sub", "presence-x"], 2, "--user-id"),
        (&["sub", "lobby", "--app", "other"], 2, "--app is of demo"),
        (&["sub", "lobby", "--url", "http://127.0.0.1:1", "--app", "a", "--key", "k"], 7, "--url"),
        (&["sub", "a", "--url", gateway, "--app", "nobody", "--key", key], 1, "--key"),
        (&["sub", "private-x", "--secret", "wrong-secret-0123456789"], 1, "--secret-file"),
        (&["pub", "lobby", "x", "--url", "http://127.0.0.1:1", "--app", "a"], 2, "--api-key"),
        (&["pub", "lobby", "x", "--api-key", "nonsense"], 1, "401"),
        (&["pub", "lobby"], 2, "DATA"),
        (&["pub", "a b", "x"], 2, "1 to 200"),
    ] {
        let said = run(dev.path(), arguments);
        assert_eq!(said.code, Some(code), "{arguments:?}: {}", said.err);
        assert!(said.err.contains(words), "{arguments:?}: {}", said.err);
        assert_eq!(said.out, "", "{arguments:?}");
    }
    // Credentials of this folder go to no other address.
    let said = run(dev.path(), &[&["sub", "lobby"], &elsewhere[..]].concat());
    assert_eq!(said.code, Some(2), "{}", said.err);
}

#[test]
fn a_key_may_be_in_a_file() {
    let dev = Dev::start();
    let gateway = dev.ready["gateway_url"].as_str().expect("a URL");
    let publish = ["pub", "lobby", "x", "--url", gateway, "--app", "demo"];
    let publish = [&publish[..], &["--api-key-file", ".wharf/api-key"]].concat();
    let mut command = wharf(dev.path(), &publish);
    let output = command.env("WHARF_API_KEY", "another").output().expect("the binary runs");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn what_is_too_large_says_what_decides() {
    let dev = Dev::start();
    for (bytes, code, words) in [
        (65_537, 1, "payload_bytes_max"),
        (900_000, 1, "for the request, here of 1200"),
        ((1 << 20) + 1, 1, "larger than 1MiB"),
    ] {
        std::fs::write(dev.path().join("bytes"), vec![0; bytes]).expect("a file");
        let said = run(dev.path(), &["pub", "lobby", "--binary-file", "bytes"]);
        assert_eq!(said.code, Some(code), "{}", said.err);
        assert!(said.err.contains(words), "{bytes}: {}", said.err);
    }
}

#[test]
fn what_a_server_says_moves_no_cursor() {
    let server = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", server.local_addr().expect("an address"));
    let answering = std::thread::Builder::new().spawn(move || {
        let (mut client, _) = server.accept().expect("a client");
        let mut request = [0; 4096];
        let _ = client.read(&mut request);
        let problem = r#"{"code":"a\u001b[31m","detail":"b\u001b]0;title\u0007\u009b2J"}"#;
        let head = "HTTP/1.1 400 Bad Request\r\ncontent-length";
        let _ = write!(client, "{head}: {}\r\n\r\n{problem}", problem.len());
    });
    let here = Path::new("/");
    let said = run(here, &["pub", "a", "x", "--url", &url, "--app", "a", "--api-key", "k"]);
    answering.expect("a thread").join().expect("an answer is sent");
    assert_eq!(said.code, Some(1));
    assert!(!said.err.trim_end().contains(char::is_control), "{:?}", said.err);
    assert!(said.err.contains("b\\u{1b}]0;title\\u{7}\\u{9b}2J"), "{}", said.err);
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let dev = Dev::start();
    let mut sub = listen(&dev, &["lobby"]);
    sub.close_output();
    // The first line after it may still go into the pipe's buffer of a system that is slow to tell.
    for _ in 0..2 {
        run(dev.path(), &["pub", "lobby", "x"]);
    }
    assert_eq!(sub.end().code(), Some(0));
}

#[test]
fn a_subscriber_comes_back_after_a_restart() {
    let dev = Dev::start();
    let gateway = dev.ready["gateway_url"].as_str().expect("a URL").to_owned();
    let listen_again = gateway.strip_prefix("http://").expect("a URL").to_owned();
    let mut sub = listen(&dev, &["lobby", "--count", "1", "--timeout", "20"]);
    let mut fragile = listen(&dev, &["lobby", "--no-reconnect"]);
    let folder = dev.stop();
    assert_eq!(fragile.end().code(), Some(1));
    fragile.until_said("1012");
    sub.until_said("1012");
    let dev = Dev::start_in(folder, &listen_again, &[]);
    sub.until_said("listening to ");
    run(dev.path(), &["pub", "lobby", "back"]);
    assert_eq!(sub.line(), "back");
    assert_eq!(sub.end().code(), Some(0));
}
