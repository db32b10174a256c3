//! The dialect's promises, its transcripts, and what its URLs sign.

use std::path::Path;

use model::{AppCode, ConnectionId};
use ring::hmac;

use super::*;
use crate::contract::{self, Example};
use crate::transcript;

#[test]
fn it_keeps_the_contract() {
    contract::run(
        &Raw,
        &Example {
            address: "/a/demo/raw?key=k&channel=a&publish=a",
            frames: &["a text", "{}"],
            payload: |frame| {
                Some(match frame {
                    Frame::Text(text) => Payload::Text(text.clone()),
                    Frame::Binary(bytes) => Payload::Binary(bytes.clone()),
                })
            },
        },
    );
}

#[test]
fn transcripts_come_out_as_they_are() {
    transcript::check(&Raw, &Path::new(env!("CARGO_MANIFEST_DIR")).join("src/raw/fixtures"));
}

#[test]
fn what_is_signed_does_not_depend_on_order_or_escapes() {
    let app = AppCode::parse("demo").expect("a code");
    let expected = "raw\ndemo\nchannel=a&channel=b&expires=9&key=k&user_id=m\u{fc}ller 1";
    let digest = "0".repeat(64);
    for query in [
        "key=k&channel=a&channel=b&expires=9&user_id=m%C3%BCller%201&signature=",
        "user_id=m%C3%BCller+1&channel=b&channel=a&key=%6B&expires=9&signature=",
    ] {
        let request = url::request(&app, &format!("{query}{digest}")).expect("a good URL");
        let signature = request.admission.signature.expect("a signature");
        assert_eq!(signature.message, expected, "{query}");
        assert_eq!((&*signature.key, &*signature.digest), ("k", &*digest));
    }
    let parameters = [
        ("expires", "9"),
        ("key", "k"),
        ("user_id", "m\u{fc}ller 1"),
        ("channel", "b"),
        ("channel", "a"),
    ];
    assert_eq!(sign::message(&app, &parameters), expected);
}

/// The vector of `docs/protocols/raw.md`.
#[test]
fn the_documented_vector_holds() {
    let app = AppCode::parse("demo").expect("a code");
    let parameters = [
        ("key", "278d425bdf160c739803"),
        ("channel", "private-x"),
        ("expires", "1700000000"),
        ("user_id", "7"),
    ];
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"7ad3773142a6692b25b8");
    let tag = hmac::sign(&key, sign::message(&app, &parameters).as_bytes());
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "b739b53b3412a12f88e4581dd0765a884d6c6f04d6418ad63f29ce4e81359bdc");
}

/// A user's id is of free form; it must not be able to claim more than was signed.
#[test]
fn a_user_id_cannot_smuggle_parameters() {
    let app = AppCode::parse("demo").expect("a code");
    let smuggler = [("key", "k"), ("expires", "9"), ("user_id", "7&x=1")];
    let message = sign::message(&app, &smuggler);
    assert_eq!(
        message,
        sign::message(&app, &[("key", "k"), ("expires", "9"), ("user_id", "7"), ("x", "1")])
    );
    let other = format!("key=k&expires=9&user_id=7&x=1&signature={}", "0".repeat(64));
    assert_eq!(url::request(&app, &other).err(), Some(CloseReason::BadMessage));
}

#[test]
fn a_raw_path_is_no_pusher_path() {
    let address = "/a/app/raw?key=k";
    assert!(contract::accept(&crate::pusher::Pusher, address, ConnectionId(1)).is_none());
    assert!(contract::accept(&Raw, address, ConnectionId(1)).is_some());
}
