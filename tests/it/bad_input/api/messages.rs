//! P: bodies and queries that are wrong in what they say.

use super::{MESSAGE, PUBLISH, ask, asked, publish, stranger, to, wrong};
use crate::bad_input::row::{Door, Row, Step, row, status};

pub(super) fn channels() -> Vec<Row> {
    let named = |what, value: &str| {
        let body = format!(r#"{{"channel":{value},"data":1}}"#);
        asked("P-18", what, publish(body), wrong(422, "bad_channel"))
    };
    vec![
        asked("P-18", "missing", publish(r#"{"data":1}"#), wrong(422, "bad_channel")),
        named("empty", r#""""#),
        named("null", "null"),
        named("a number", "7"),
        named("a space", r#""a b""#),
        named("a user's", r##""#server-to-user-7""##),
        named("201 bytes", &format!("\"{}\"", "c".repeat(201))),
        named("beyond ASCII", "\"caf\u{e9}\""),
        named("U+0000", r#""a\u0000""#),
        asked(
            "P-19",
            "another app's app in the body: an unknown field",
            publish(r#"{"channel":"p","data":1,"app":"other"}"#),
            wrong(422, "bad_message"),
        ),
        asked("P-19", "another app's path, by our key", to("/v1/apps/other/publish", MESSAGE), {
            stranger()
        }),
        asked("P-19", "an unknown app, by our key", to("/v1/apps/nobody/publish", MESSAGE), {
            stranger()
        }),
    ]
}

pub(super) fn payloads() -> Vec<Row> {
    let with = |fields: &str| publish(format!(r#"{{"channel":"p",{fields}}}"#));
    let depth = |count: usize| format!(r#""data":{}1{}"#, "[".repeat(count), "]".repeat(count));
    let unread = |id, what, fields: &str| asked(id, what, with(fields), wrong(422, "bad_message"));
    let long = |count: usize| format!(r#""data":"{}""#, "x".repeat(count));
    vec![
        asked("P-20", "missing", publish(r#"{"channel":"p"}"#), wrong(422, "bad_message")),
        asked("P-20", "null: no fault", with(r#""data":null"#), status(200)),
        asked("P-20", "65,536 bytes: no fault", with(&long(65_536)), status(200)),
        asked("P-20", "65,537 bytes", with(&long(65_537)), wrong(413, "too_large")),
        asked("P-20", "depth 32: no fault", with(&depth(31)), status(200)),
        unread("P-20", "depth 33", &depth(32)),
        unread("P-20", "depth 100,000", &depth(100_000)),
        unread("P-20", "half of a character", r#""data":"\ud800""#),
        unread("P-20", "data and data_base64", r#""data":1,"data_base64":"eA==""#),
        unread("P-20", "base64 without its end", r#""data_base64":"eA""#),
        unread("P-20", "base64 for URLs", r#""data_base64":"-_-_""#),
        unread("P-21", "an unknown field", r#""data":1,"date":2"#),
        unread("P-22", "data twice", r#""data":1,"data":2"#),
        unread("P-22", "a channel twice", r#""data":1,"channel":"q""#),
        unread("P-36", "durable: no such field here", r#""data":1,"ack":"durable""#),
        unread("P-37", "ttl: no such field here", r#""data":1,"ttl":-1"#),
        unread("P-37", "delay: no such field here", r#""data":1,"delay":1e999"#),
        unread("P-20", "exclude in words", r#""data":1,"exclude":"me""#),
        asked(
            "P-20",
            "an event of 201 bytes",
            with(&format!(r#""data":1,"event":"{}""#, "e".repeat(201))),
            wrong(422, "bad_event"),
        ),
        asked("P-20", "an event with a line break", with(r#""data":1,"event":"a\nb""#), {
            wrong(422, "bad_event")
        }),
        asked("P-21", "an unknown parameter", to(&format!("{PUBLISH}?x=1"), MESSAGE), {
            wrong(422, "bad_message")
        }),
    ]
}

pub(super) fn batches() -> Vec<Row> {
    let batch = |messages: &[&str]| {
        let body = format!(r#"{{"messages":[{}]}}"#, messages.join(","));
        to("/v1/apps/demo/batch", body)
    };
    let broadcast = |channels: &str| {
        to("/v1/apps/demo/broadcast", format!(r#"{{"channels":{channels},"data":1}}"#))
    };
    let many = |count: usize| {
        let names: Vec<String> = (0..count).map(|n| format!("\"p{n}\"")).collect();
        format!("[{}]", names.join(","))
    };
    let bad = r#"{"channel":"a b","data":1}"#;
    let part = |piece| status(207).json_with(piece);
    vec![
        asked("P-23", "no messages", batch(&[]), wrong(422, "bad_message")),
        asked("P-23", "messages no array", to("/v1/apps/demo/batch", r#"{"messages":{}}"#), {
            wrong(422, "bad_message")
        }),
        asked("P-23", "100 messages: no fault", batch(&[MESSAGE; 100]), status(200)),
        asked("P-23", "101 messages", batch(&[MESSAGE; 101]), wrong(413, "limit_exceeded")),
        asked(
            "P-23",
            "one byte more than a body may have",
            to("/v1/apps/demo/batch", " ".repeat((1 << 20) + 1)),
            status(413).code("too_large").header("connection", "close"),
        ),
        asked("P-23", "one bad of five", batch(&[MESSAGE, MESSAGE, bad, MESSAGE, MESSAGE]), {
            part(r#"{"status":422,"code":"bad_channel""#)
        }),
        asked("P-23", "one that is no object", batch(&[MESSAGE, "7"]), {
            part(r#"{"status":422,"code":"bad_message""#)
        }),
        asked(
            "P-23",
            "one that is too large",
            {
                let large = format!(r#"{{"channel":"p","data":"{}"}}"#, "x".repeat(65_537));
                batch(&[MESSAGE, &large])
            },
            part(r#"{"channel":"p","status":413,"code":"too_large""#),
        ),
        asked("P-24", "100 channels: no fault", broadcast(&many(100)), status(200)),
        asked("P-24", "101 channels", broadcast(&many(101)), wrong(413, "limit_exceeded")),
        asked("P-24", "one bad channel", broadcast(r#"["p","a b"]"#), {
            part(r#"{"status":422,"code":"bad_channel""#)
        }),
        asked("P-24", "a channel twice", broadcast(r#"["p","p"]"#), {
            part(r#"{"channel":"p","status":422,"code":"bad_message""#)
        }),
        asked("P-24", "no channels", broadcast("[]"), wrong(422, "bad_message")),
    ]
}

pub(super) fn once() -> Vec<Row> {
    let keyed = |key: &str, body: &str| publish(body).add("Idempotency-Key", key).bytes();
    let said = |what, key: &str| {
        let body = publish(MESSAGE).add("Idempotency-Key", key);
        asked("P-25", what, body, wrong(422, "bad_message"))
    };
    let other = r#"{"channel":"p","data":2}"#;
    vec![
        row(
            "P-25",
            "used again with another body",
            Door::Tcp,
            vec![
                Step::Send(keyed("p-25-other", MESSAGE)),
                Step::Answer(status(200).no("idempotent-replayed")),
                Step::Send(keyed("p-25-other", other)),
                Step::Answer(wrong(409, "conflict")),
            ],
        ),
        row(
            "P-25",
            "used again with the same: no fault",
            Door::Tcp,
            vec![
                Step::Send(keyed("p-25-same", MESSAGE)),
                Step::Answer(status(200).no("idempotent-replayed")),
                Step::Send(keyed("p-25-same", MESSAGE)),
                Step::Answer(status(200).header("idempotent-replayed", "true")),
            ],
        ),
        said("256 characters", &"k".repeat(256)),
        said("empty", ""),
        asked("P-25", "not ASCII", publish(MESSAGE).add("Idempotency-Key", b"\xff"), {
            wrong(422, "bad_message")
        }),
        asked(
            "P-25",
            "two headers",
            publish(MESSAGE).add("Idempotency-Key", "a").add("Idempotency-Key", "a"),
            wrong(422, "bad_message"),
        ),
        asked(
            "P-25",
            "header and body differ",
            {
                publish(r#"{"channel":"p","data":1,"idempotency_key":"b"}"#)
                    .add("Idempotency-Key", "a")
            },
            wrong(422, "bad_message"),
        ),
        asked(
            "P-25",
            "a key that is a number",
            publish(r#"{"channel":"p","data":1,"idempotency_key":7}"#),
            wrong(422, "bad_message"),
        ),
    ]
}

pub(super) fn questions() -> Vec<Row> {
    let at = |path: &str| ask(&format!("/v1/apps/demo/{path}"));
    let bad = |what, path: &str| asked("P-41", what, at(path), wrong(422, "bad_message"));
    let disconnect = |what, body: &str| {
        asked("P-42", what, to("/v1/apps/demo/disconnect", body), wrong(422, "bad_message"))
    };
    vec![
        bad("limit 0", "channels?limit=0"),
        bad("limit -1", "channels/p/history?limit=-1"),
        bad("limit 100,000", "channels/p/history?limit=100000"),
        bad("limit in words", "channels?limit=all"),
        bad("limit twice", "channels?limit=1&limit=2"),
        bad("a position that is none", "channels/p/history?since=yesterday"),
        bad("a position of 1 KB", &format!("channels/p/history?since={}", "9".repeat(1_024))),
        bad("an unknown parameter", "channels/p?info=users"),
        asked("P-41", "a bad prefix", at("channels?prefix=a%20b"), wrong(422, "bad_channel")),
        asked("P-41", "a bad channel", at("channels/a%20b"), wrong(422, "bad_channel")),
        asked("P-41", "a channel that is not UTF-8", at("channels/%ff"), {
            wrong(422, "bad_channel")
        }),
        asked("P-41", "a channel with U+0000", at("channels/a%00"), wrong(422, "bad_channel")),
        asked("P-41", "a channel of dots", at("channels/%2e%2e"), wrong(404, "not_found")),
        asked("P-41", "no channel", at("channels/"), wrong(404, "not_found")),
        asked(
            "P-41",
            "a position of another epoch: told, no fault",
            at("channels/p/history?since=00000000000000ff-7"),
            status(200).json_with(r#""complete":false"#),
        ),
        disconnect("nobody", "{}"),
        disconnect("both", r#"{"user":"7","connection":"1.1"}"#),
        disconnect("a user that is a number", r#"{"user":7}"#),
        disconnect("a user of 129 bytes", &format!(r#"{{"user":"{}"}}"#, "7".repeat(129))),
        disconnect("a connection in words", r#"{"connection":"me"}"#),
        disconnect("a connection out of range", r#"{"connection":"4294967296.1"}"#),
    ]
}
