//! The dialect's promises, its transcripts, and the rows of bad input.

use std::path::Path;

use model::{Access, Payload, Presence, Reason, Signature, Text, Verb};
use ring::hmac;
use serde_json::Value;

use super::channel::{Audience, Kind};
use super::*;
use crate::contract::{self, Example};
use crate::transcript;

/// Key and secret of the vectors in Pusher's documentation.
const KEY: &str = "278d425bdf160c739803";
const SECRET: &str = "7ad3773142a6692b25b8";

#[test]
fn it_keeps_the_contract() {
    contract::run(
        &Pusher,
        &Example {
            address: "/app/key?protocol=7",
            frames: &[
                r#"{"event":"pusher:ping","data":{}}"#,
                r#"{"event":"pusher:subscribe","data":{"channel":"presence-x","auth":"key:58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4","channel_data":"{\"user_id\":\"7\",\"user_info\":{}}"}}"#,
                r#"{"event":"pusher:unsubscribe","data":{"channel":"my-ch"}}"#,
                r#"{"event":"pusher:signin","data":{"auth":"key:abc","user_data":"{\"id\":\"7\"}"}}"#,
                r#"{"event":"client-x","channel":"private-x","data":{"text":"\ud83d\ude00"}}"#,
            ],
            payload,
        },
    );
}

#[test]
fn transcripts_come_out_as_they_are() {
    transcript::check(&Pusher, &Path::new(env!("CARGO_MANIFEST_DIR")).join("src/pusher/fixtures"));
}

#[test]
fn documented_signatures_hold() {
    let check = |data: &str, event: &str| {
        let message = format!(r#"{{"event":"{event}","data":{data}}}"#);
        let signature = match decode(&message) {
            Ok(Verb::Subscribe { signature, .. }) => signature.expect("a signature"),
            Ok(Verb::SignIn { signature, .. }) => signature,
            other => panic!("{other:?}"),
        };
        assert!(holds(&signature), "{signature:?}");
    };
    check(
        r#"{"channel":"private-foobar","auth":"278d425bdf160c739803:58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4"}"#,
        "pusher:subscribe",
    );
    check(
        r#"{"channel":"presence-foobar","auth":"278d425bdf160c739803:31935e7d86dba64c2a90aed31fdc61869f9b22ba9d8863bba239c03ca481bc80","channel_data":"{\"user_id\":10,\"user_info\":{\"name\":\"Mr. Channels\"}}"}"#,
        "pusher:subscribe",
    );
    check(
        r#"{"auth":"278d425bdf160c739803:4708d583dada6a56435fb8bc611c77c359a31eebde13337c16ab43aa6de336ba","user_data":"{\"id\":\"12345\"}"}"#,
        "pusher:signin",
    );
}

/// Rows M-01 to M-15 of the bad-input catalogue, as far as the dialect has them.
#[test]
fn bad_messages_are_refused_by_field_and_never_repeated() {
    let deep = format!(
        r#"{{"event":"client-x","channel":"private-x","data":{}{}}}"#,
        "[".repeat(32),
        "]".repeat(32)
    );
    let abyss = "[".repeat(100_000);
    let json = "one JSON object";
    let rows: &[(&str, &str, Reason, &str)] = &[
        ("M-01", "", Reason::BadMessage, json),
        ("M-01", "   ", Reason::BadMessage, json),
        ("M-02", "SECRET", Reason::BadMessage, json),
        ("M-02", r#"{"event":"pusher:ping",}"#, Reason::BadMessage, json),
        ("M-02", r#"{"event":"pusher:ping"/*SECRET*/}"#, Reason::BadMessage, json),
        ("M-02", "{'event':'pusher:ping'}", Reason::BadMessage, json),
        ("M-02", r#"{"event":"pusher:ping","data":NaN}"#, Reason::BadMessage, json),
        ("M-02", r#"{"event":"pusher:ping","data":Infinity}"#, Reason::BadMessage, json),
        ("M-02", "{\"event\":\"client-\nSECRET\"}", Reason::BadMessage, json),
        ("M-03", r#"{"event":"pusher:ping"}{"event":"pusher:ping"}"#, Reason::BadMessage, json),
        ("M-03", "{\"event\":\"pusher:ping\"}\n{}", Reason::BadMessage, json),
        ("M-04", r#"["pusher:ping"]"#, Reason::BadMessage, json),
        ("M-04", r#""pusher:ping""#, Reason::BadMessage, json),
        ("M-04", "null", Reason::BadMessage, json),
        ("M-05", &deep, Reason::BadMessage, "32 levels"),
        ("M-05", &abyss, Reason::BadMessage, "32 levels"),
        ("M-06", r#"{"event":"pusher:ping","event":"SECRET"}"#, Reason::BadMessage, json),
        ("M-06", &subscribe(r#""channel":"a","channel":"SECRET""#), Reason::BadMessage, "data"),
        ("M-07", r#"{"event":"pusher:SECRET"}"#, Reason::UnknownType, "event"),
        ("M-07", r#"{"event":"Pusher:Ping"}"#, Reason::UnknownType, "event"),
        ("M-07", r#"{"event":"SECRET","channel":"private-x"}"#, Reason::UnknownType, "event"),
        ("M-07", r#"{"event":"pusher_internal:member_added"}"#, Reason::UnknownType, "event"),
        ("M-11", "{}", Reason::BadMessage, "event"),
        ("M-11", r#"{"event":"pusher:subscribe"}"#, Reason::BadMessage, "data"),
        ("M-11", &subscribe(r#""auth":"""#), Reason::BadMessage, "data.channel"),
        ("M-12", &subscribe(r#""channel":1e999"#), Reason::BadMessage, "data.channel"),
        ("M-13", r#"{"event":"client-\u0000","channel":"private-x"}"#, Reason::BadEvent, "event"),
        ("M-13", r#"{"event":"client-\ud800"}"#, Reason::BadMessage, "surrogate"),
        ("M-13", r#"{"event":"pusher:ping","x":"\udc00"}"#, Reason::BadMessage, "surrogate"),
        ("M-14", &subscribe("\"channel\":\"a\u{202e}b\""), Reason::BadChannel, "channel"),
        ("M-14", &subscribe("\"channel\":\"a\u{200b}b\""), Reason::BadChannel, "channel"),
        ("M-15", "\u{feff}{\"event\":\"pusher:ping\"}", Reason::BadMessage, json),
        ("M-19", &subscribe(r#""channel":"""#), Reason::BadChannel, "channel"),
        ("M-19", &subscribe(r#""channel":"SECRET/a""#), Reason::BadChannel, "channel"),
        ("M-19", &subscribe(r#""channel":"a:b""#), Reason::BadChannel, "channel"),
        ("M-19", &subscribe(r#""channel":"a+b""#), Reason::BadChannel, "channel"),
        ("M-19", &subscribe(r#""channel":"a*""#), Reason::BadChannel, "channel"),
        ("M-19", &subscribe(r##""channel":"#SECRET""##), Reason::BadChannel, "channel"),
        ("M-19", &subscribe(r##""channel":"#server-to-user-""##), Reason::BadChannel, "channel"),
    ];
    for (row, message, reason, names) in rows {
        refused(row, message, *reason, names);
    }
    let long = "a".repeat(201);
    let channel = format!(r#""channel":"{long}""#);
    refused("M-19", &subscribe(&channel), Reason::BadChannel, "channel");
    let event = format!(r#"{{"event":"client-{long}","channel":"private-x"}}"#);
    refused("S-01", &event, Reason::BadEvent, "event");
}

/// Row M-11: each field of each message, with each type that it is not.
#[test]
fn each_field_of_a_wrong_type_is_named() {
    let fields: &[(&str, &str)] = &[
        ("event", r#"{"event":@}"#),
        ("data", r#"{"event":"pusher:subscribe","data":@}"#),
        ("data", r#"{"event":"pusher:unsubscribe","data":@}"#),
        ("data", r#"{"event":"pusher:signin","data":@}"#),
        ("data.channel", r#"{"event":"pusher:subscribe","data":{"channel":@}}"#),
        ("data.channel", r#"{"event":"pusher:unsubscribe","data":{"channel":@}}"#),
        ("data.auth", r#"{"event":"pusher:signin","data":{"auth":@,"user_data":"{}"}}"#),
        ("data.user_data", r#"{"event":"pusher:signin","data":{"auth":"","user_data":@}}"#),
        ("channel", r#"{"event":"client-x","channel":@}"#),
    ];
    for (field, message) in fields {
        for value in ["4711", "true", "null", r#"["SECRET"]"#, "1e999", "-0"] {
            refused("M-11", &message.replace('@', value), Reason::BadMessage, field);
        }
        if *field != "data" {
            let message = message.replace('@', r#"{"SECRET":1}"#);
            refused("M-11", &message, Reason::BadMessage, field);
        }
    }
    for field in ["auth", "channel_data"] {
        for value in ["4711", "true", r#"["SECRET"]"#, r#"{"SECRET":1}"#] {
            let message = subscribe(&format!(r#""channel":"private-x","{field}":{value}"#));
            refused("M-11", &message, Reason::BadMessage, &format!("data.{field}"));
        }
    }
}

#[test]
fn user_info_has_a_bound_and_keeps_its_bytes() {
    let message = |length: usize| {
        let info = format!("\\\"{}\\\"", "x".repeat(length - 2));
        subscribe(&format!(
            r#""channel":"presence-x","auth":"","channel_data":"{{\"user_id\":\"7\",\"user_info\":{info}}}""#
        ))
    };
    refused("S-02", &message(1025), Reason::TooLarge, "user_info");
    let Ok(Verb::Subscribe { presence: Presence::Member(member), .. }) = decode(&message(1024))
    else {
        panic!("1024 bytes are allowed");
    };
    assert_eq!(member.info.map(|info| info.as_bytes().len()), Some(1024));
}

#[test]
fn a_prefix_says_what_a_channel_is() {
    let rows: &[(&str, Audience, bool)] = &[
        ("my-ch", Audience::Public, false),
        ("private", Audience::Public, false),
        ("Private-x", Audience::Public, false),
        ("x-private-y", Audience::Public, false),
        ("cache-x", Audience::Public, true),
        ("private-x", Audience::Private, false),
        ("private-", Audience::Private, false),
        ("private-cache-x", Audience::Private, true),
        ("private-encrypted-x", Audience::Encrypted, false),
        ("private-encrypted-cache-x", Audience::Encrypted, true),
        ("presence-x", Audience::Presence, false),
        ("presence-cache-x", Audience::Presence, true),
        ("presence-encrypted-x", Audience::Presence, false),
        ("private-x/y", Audience::Private, false),
    ];
    for (name, audience, cache) in rows {
        let channel = ChannelName::parse(name).expect("an allowed name");
        assert_eq!(Kind::of(&channel), Kind { audience: *audience, cache: *cache }, "{name}");
        let convention = Pusher.convention(&channel);
        assert_eq!(convention.cache, *cache, "{name}");
        assert_eq!(convention.presence, *audience == Audience::Presence, "{name}");
        let open = *audience == Audience::Public;
        assert_eq!(convention.subscribe == Access::Anyone, open, "{name}");
        assert_eq!(convention.publish == Access::Anyone, open, "{name}");
    }
    let user = channel::name("#server-to-user-7").expect("an allowed name");
    assert_eq!(Kind::of(&user).audience, Audience::User);
    assert_eq!(Pusher.convention(&user).publish, Access::Server);
}

fn subscribe(data: &str) -> String {
    format!(r#"{{"event":"pusher:subscribe","data":{{{data}}}}}"#)
}

fn decode(message: &str) -> Result<Verb, DecodeError> {
    let mut codec = Conversation { connection: transcript::CONNECTION };
    let mut inbound = Inbound::default();
    codec.decode(Frame::text(message), &mut inbound)?;
    Ok(inbound.commands.pop().expect("a command").verb)
}

fn refused(row: &str, message: &str, reason: Reason, names: &str) {
    let shown = &message[..message.len().min(200)];
    let Err(DecodeError::Refused { refusal, channel }) = decode(message) else {
        panic!("{row}: not refused: {shown}");
    };
    assert_eq!(refusal.reason, reason, "{row}: {shown}");
    assert!(refusal.detail.contains(names), "{row}: {:?} of {shown}", refusal.detail);
    let mut outbound = Outbound::default();
    let refused = ServerMessage::Refused { id: None, verb: "message", channel, refusal };
    encode::encode(&refused, &mut outbound);
    let [Frame::Text(said)] = &outbound.frames[..] else { panic!("{row}: {outbound:?}") };
    assert!(!said.as_str().contains("SECRET"), "{row}: {said:?}");
    assert!(!said.as_str().contains("4711"), "{row}: {said:?}");
    serde_json::from_str::<Value>(said.as_str()).expect("JSON");
}

fn holds(signature: &Signature) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let tag = hmac::sign(&key, signature.message.as_bytes());
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    signature.key == KEY && signature.digest == hex
}

/// What pusher-js would hand to the application, before it tries to parse it.
fn payload(frame: &Frame) -> Option<Payload> {
    use base64::Engine;
    let value: Value = serde_json::from_slice(frame.as_bytes()).ok()?;
    let data = value.get("data")?.as_str()?;
    match value.get("enc") {
        None => Some(Payload::Text(Text::from(data))),
        Some(_) => {
            let bytes = base64::engine::general_purpose::STANDARD.decode(data).ok()?;
            Some(Payload::Binary(bytes.into()))
        }
    }
}
