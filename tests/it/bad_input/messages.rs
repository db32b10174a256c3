//! M: messages of Pusher clients. The catalogue's generic `bad_message` is `pusher:error` with
//! `code: null` and the reason in front of its text (settled-gateway 31).

use std::time::Duration;

use tests::Client;

use super::ROOMY;
use super::after::Watch;
use super::row::{
    Door, Row, Step, closed, ends, enter, error, greeted, no_subscription, pusher, pusher_closed,
    refused, row, say, short, sign, subscribed, switched, then,
};
use super::socket::{Frame, Socket};
use super::wire::{all, ping, text, upgrade};

#[tokio::test]
async fn messages_are_answered_as_the_table_says() {
    let mut watch = Watch::start(ROOMY).await.expect("a gateway");
    watch.run(&table()).await;
}

pub(super) fn table() -> Vec<Row> {
    let parts = [syntax(), fields(), numbers(), channels(), counted(), events(), payloads()];
    parts.into_iter().flatten().collect()
}

fn bad(id: &'static str, what: &'static str, message: impl AsRef<str>) -> Row {
    pusher(id, what, text(message.as_ref()), refused("bad_message"))
}

fn fine(id: &'static str, what: &'static str, message: impl AsRef<str>) -> Row {
    pusher(id, what, text(message.as_ref()), [Step::Lives])
}

/// `subscribe` to a channel whose name is this JSON string's content.
fn subscribe(name: &str) -> String {
    format!(r#"{{"event":"pusher:subscribe","data":{{"channel":"{name}"}}}}"#)
}

fn syntax() -> Vec<Row> {
    let ping = r#"{"event":"pusher:ping","data":{}}"#;
    let nested = |depth: usize| {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        format!(r#"{{"event":"pusher:pong","data":{open}{close}}}"#)
    };
    vec![
        bad("M-01", "empty", ""),
        bad("M-01", "spaces", "   \n\t "),
        bad("M-02", "no JSON", "hello"),
        bad("M-02", "a comma too many", r#"{"event":"pusher:pong",}"#),
        bad("M-02", "a comment", r#"{"event":"pusher:pong"/* x */}"#),
        bad("M-02", "single quotes", "{'event':'pusher:pong'}"),
        bad("M-02", "NaN", r#"{"event":"pusher:pong","data":NaN}"#),
        bad("M-02", "Infinity", r#"{"event":"pusher:pong","data":Infinity}"#),
        bad("M-02", "cut short", r#"{"event":"pusher:pong""#),
        bad("M-02", "a control character in a string", "{\"event\":\"pusher:\u{1}\"}"),
        bad("M-03", "two values", format!("{ping}{ping}")),
        bad("M-03", "two values, a line each", format!("{ping}\n{ping}")),
        bad("M-04", "an array", format!("[{ping}]")),
        bad("M-04", "the fields as an array", r#"["pusher:ping","c",{}]"#),
        bad("M-04", "a string", r#""pusher:ping""#),
        bad("M-04", "null", "null"),
        fine("M-05", "depth 32: no fault", nested(31)),
        bad("M-05", "depth 33", nested(32)),
        // 60,000, since 100,000 would be refused for its size.
        bad("M-05", "depth 60,000", "[".repeat(60_000)),
        bad("M-05", "depth 60,000, objects", r#"{"a":"#.repeat(12_000)),
        bad("M-06", "event twice", r#"{"event":"pusher:ping","event":"pusher:pong"}"#),
        bad("M-06", "data twice", r#"{"event":"pusher:pong","data":{},"data":{}}"#),
        bad("M-06", "a channel twice, within data", {
            r#"{"event":"pusher:subscribe","data":{"channel":"a","channel":"b"}}"#
        }),
        pusher("M-07", "unknown", text(r#"{"event":"pusher:nothing"}"#), refused("unknown_type")),
        pusher("M-07", "wrong case", text(r#"{"event":"Pusher:Ping"}"#), refused("unknown_type")),
        pusher(
            "M-07",
            "an internal one",
            text(r#"{"event":"pusher_internal:member_added","channel":"c","data":{}}"#),
            refused("unknown_type"),
        ),
        pusher(
            "M-07",
            "no client- in front",
            text(r#"{"event":"my-event","channel":"private-c","data":{}}"#),
            refused("unknown_type"),
        ),
        pusher("M-07", "empty", text(r#"{"event":""}"#), refused("unknown_type")),
        bad("M-07", "a number", r#"{"event":7}"#),
        bad("M-07", "null", r#"{"event":null}"#),
        bad("M-07", "missing", r#"{"data":{}}"#),
        fine("M-08", "unknown fields: ignored", {
            r#"{"event":"pusher:pong","x":1,"y":{"z":[]},"x":2}"#
        }),
        bad("M-15", "a BOM in front", format!("\u{feff}{ping}")),
    ]
}

/// M-11: each field of each message, of each wrong type.
fn fields() -> Vec<Row> {
    let wrong = ["7", "1.5", "true", "[]", "{}", r#"[\"a\"]"#];
    type Shape = (&'static str, fn(&str) -> String);
    let shapes: [Shape; 8] = [
        ("subscribe, data", |v| format!(r#"{{"event":"pusher:subscribe","data":{v}}}"#)),
        ("subscribe, channel", |v| {
            format!(r#"{{"event":"pusher:subscribe","data":{{"channel":{v}}}}}"#)
        }),
        ("unsubscribe, data", |v| format!(r#"{{"event":"pusher:unsubscribe","data":{v}}}"#)),
        ("unsubscribe, channel", |v| {
            format!(r#"{{"event":"pusher:unsubscribe","data":{{"channel":{v}}}}}"#)
        }),
        ("signin, data", |v| format!(r#"{{"event":"pusher:signin","data":{v}}}"#)),
        ("signin, auth", |v| {
            format!(r#"{{"event":"pusher:signin","data":{{"auth":{v},"user_data":"{{}}"}}}}"#)
        }),
        ("signin, user_data", |v| {
            format!(r#"{{"event":"pusher:signin","data":{{"auth":"k:d","user_data":{v}}}}}"#)
        }),
        ("client event, channel", |v| format!(r#"{{"event":"client-x","channel":{v},"data":1}}"#)),
    ];
    let mut rows = Vec::new();
    for (what, shape) in shapes {
        for value in wrong.into_iter().chain(["null"]) {
            rows.push(bad("M-11", what, shape(&value.replace('\\', ""))));
        }
    }
    // What is wrong with a subscription is told to its channel.
    for field in ["auth", "channel_data"] {
        for value in ["7", "true", "[]", "{}"] {
            let message = format!(
                r#"{{"event":"pusher:subscribe","data":{{"channel":"m11","{field}":{value}}}}}"#
            );
            let answer = no_subscription("m11", "InvalidSubscription", 400);
            rows.push(pusher("M-11", "subscribe, auth or channel_data", text(message), answer));
        }
    }
    rows
}

/// A presence subscription that is signed, whatever its data.
fn presence(channel_data: &'static str) -> Step {
    say(move |id| {
        let auth = sign(&format!("{id}:presence-m:{channel_data}"));
        let data = serde_json::json!({
            "channel": "presence-m", "auth": auth, "channel_data": channel_data,
        });
        serde_json::json!({"event": "pusher:subscribe", "data": data}).to_string()
    })
}

fn numbers() -> Vec<Row> {
    let refused = |id, what, channel_data| {
        let answer = no_subscription("presence-m", "InvalidSubscription", 400);
        row(id, what, Door::Pusher, then(vec![presence(channel_data)], answer))
    };
    let taken = |what, channel_data, id: &str| {
        let id = format!(r#"\"ids\":[\"{id}\"]"#);
        let came = Step::Event("pusher_internal:subscription_succeeded", vec![id]);
        row("M-12", what, Door::Pusher, vec![presence(channel_data), came, Step::Lives])
    };
    vec![
        refused("M-12", "1e999", r#"{"user_id":1e999}"#),
        refused("M-12", "-0", r#"{"user_id":-0}"#),
        refused("M-12", "1.0", r#"{"user_id":1.0}"#),
        refused("M-12", "30 digits", r#"{"user_id":123456789012345678901234567890}"#),
        refused("M-12", "zeros in front", r#"{"user_id":007}"#),
        taken("a whole number: no fault", r#"{"user_id":7}"#, "7"),
        taken("the largest", r#"{"user_id":18446744073709551615}"#, "18446744073709551615"),
        refused("M-11", "user_id null", r#"{"user_id":null}"#),
        refused("M-11", "user_id true", r#"{"user_id":true}"#),
        refused("M-11", "user_id an object", r#"{"user_id":{}}"#),
        refused("M-11", "no user_id", "{}"),
        refused("M-11", "an array", "[]"),
        refused("M-11", "no JSON", "7:user"),
        refused("M-11", "empty", ""),
        refused("M-06", "user_id twice", r#"{"user_id":"1","user_id":"2"}"#),
        refused("M-13", "U+0000 in an id", r#"{"user_id":"a\u0000"}"#),
        refused("M-13", "half of a character in an id", r#"{"user_id":"\ud800"}"#),
        refused("M-14", "an empty id", r#"{"user_id":""}"#),
    ]
}

fn channels() -> Vec<Row> {
    let wrong =
        |id, what, name: &str| pusher(id, what, text(subscribe(name)), refused("bad_channel"));
    let long = "c".repeat(201);
    let unsubscribe = |name: &str| {
        text(format!(r#"{{"event":"pusher:unsubscribe","data":{{"channel":"{name}"}}}}"#))
    };
    vec![
        wrong("M-19", "empty", ""),
        wrong("M-19", "201 bytes", &long),
        wrong("M-19", "a space", "a b"),
        wrong("M-19", "$", "$sys"),
        wrong("M-19", "//", "a//b"),
        wrong("M-19", "*", "*"),
        wrong("M-19", "../", "../b"),
        wrong("M-19", "a colon", "a:b"),
        wrong("M-19", "#", "#all"),
        wrong("M-19", "a user's channel without a user", "#server-to-user-"),
        wrong("M-19", "letters beyond ASCII", "caf\u{e9}"),
        wrong("M-14", "right to left", "a\u{202e}b"),
        wrong("M-14", "without width", "a\u{200b}b"),
        wrong("M-13", "U+0000", "a\\u0000b"),
        bad("M-13", "half of a character", subscribe("a\\ud800")),
        bad("M-13", "the wrong half", subscribe("a\\udc00")),
        bad("M-13", "half of a character in a field that we skip", {
            r#"{"event":"pusher:pong","x":"\ud800"}"#
        }),
        pusher("M-19", "200 bytes: no fault", text(subscribe(&long[1..])), {
            [subscribed(&long[1..]), Step::Lives]
        }),
        pusher("M-20", "a private channel, no signature", text(subscribe("private-x")), {
            no_subscription("private-x", "AuthError", 401)
        }),
        pusher(
            "M-20",
            "a user's channel, not signed in",
            text(subscribe("#server-to-user-7")),
            no_subscription("#server-to-user-7", "AuthError", 401),
        ),
        pusher("M-29", "a channel that is the server's", text(subscribe("locked-x")), {
            no_subscription("locked-x", "AuthError", 403)
        }),
        pusher(
            "M-21",
            "twice: told again (Pusher), joined once",
            all([text(subscribe("m21")), text(subscribe("m21"))]),
            [subscribed("m21"), subscribed("m21"), Step::Lives],
        ),
        pusher("M-23", "leaves where it is not", unsubscribe("nowhere"), [Step::Lives]),
        pusher("M-23", "leaves a bad name", unsubscribe("a b"), refused("bad_channel")),
    ]
}

fn counted() -> Vec<Row> {
    let many = |count: usize| all((0..count).map(|n| text(subscribe(&format!("m22-{n}")))));
    let mut each: Vec<Step> = (0..200).map(|n| subscribed(&format!("m22-{n}"))).collect();
    each.extend(no_subscription("m22-200", "LimitReached", 413));
    let errors = |count: usize| std::iter::repeat_with(|| error("bad_message")).take(count);
    let mut ten: Vec<Step> = errors(10).collect();
    ten.extend(pusher_closed(4009));
    let mut nine: Vec<Step> = errors(9).collect();
    nine.push(Step::Lives);
    vec![
        pusher("M-22", "the 201st channel", many(201), each),
        pusher("M-00", "nine errors: no fault", text("{").repeat(9), nine),
        pusher("M-00", "ten errors within a minute", text("{").repeat(10), ten),
        pusher("M-00", "twenty errors in one write: ten are told", text("{").repeat(20), {
            vec![Step::Until { code: 4009, answered: 11..=11 }, ends()]
        }),
    ]
}

/// Joins `private-m`, signed.
fn private() -> Step {
    say(|id| {
        let auth = sign(&format!("{id}:private-m"));
        format!(
            r#"{{"event":"pusher:subscribe","data":{{"channel":"private-m","auth":"{auth}"}}}}"#
        )
    })
}

fn event(name: &str, channel: &str, data: &str) -> Step {
    let message = format!(r#"{{"event":"{name}","channel":"{channel}","data":{data}}}"#);
    Step::Send(text(message))
}

fn events() -> Vec<Row> {
    let joined = |id, what, rest: Vec<Step>| {
        row(id, what, Door::Pusher, then(vec![private(), subscribed("private-m")], rest))
    };
    let alone = |id, what, step, reason: &str| {
        row(id, what, Door::Pusher, then(vec![step], refused(reason)))
    };
    let long = format!("client-{}", "x".repeat(200));
    let limited = Step::Event("pusher:error", vec![String::from(r#""code":4301,"#)]);
    let burst = |count: usize| {
        let one = r#"{"event":"client-x","channel":"private-m","data":1}"#;
        Step::Send(text(one).repeat(count))
    };
    vec![
        alone(
            "M-29",
            "to a channel not joined",
            event("client-x", "private-m", "1"),
            "not_subscribed",
        ),
        alone("M-29", "to a public channel", event("client-x", "m29", "1"), "forbidden"),
        alone(
            "M-29",
            "to an encrypted channel",
            event("client-x", "private-encrypted-m", "1"),
            "forbidden",
        ),
        alone(
            "M-29",
            "to a user's channel",
            event("client-x", "#server-to-user-7", "1"),
            "forbidden",
        ),
        alone("M-29", "to a bad name", event("client-x", "private-a b", "1"), "bad_channel"),
        alone("M-29", "a name of 207 bytes", event(&long, "private-m", "1"), "bad_event"),
        alone("M-29", "a name with U+0000", event("client-\\u0000", "private-m", "1"), "bad_event"),
        alone(
            "M-29",
            "no channel",
            Step::Send(text(r#"{"event":"client-x","data":1}"#)),
            "bad_message",
        ),
        joined("M-34", "the eleventh in a second", vec![burst(11), limited, Step::Lives]),
        joined("M-08", "no data: null", {
            let message = r#"{"event":"client-x","channel":"private-m"}"#;
            vec![Step::Send(text(message)), Step::Lives]
        }),
        joined("M-51", "data with half of a character", {
            then(vec![event("client-x", "private-m", r#""\ud800""#)], refused("bad_message"))
        }),
        joined("M-20", "in another channel than the one joined", {
            then(vec![event("client-x", "private-n", "1")], refused("not_subscribed"))
        }),
    ]
}

/// M-30, M-41: what a client event carries reaches others as it was sent.
fn payloads() -> Vec<Row> {
    let info = |bytes: usize| {
        let info = "x".repeat(bytes - 2);
        let data: &'static str =
            Box::leak(format!(r#"{{"user_id":"7","user_info":"{info}"}}"#).into_boxed_str());
        presence(data)
    };
    vec![
        row("M-37", "user_info of 1,024 bytes: no fault", Door::Pusher, {
            vec![info(1_024), subscribed("presence-m"), Step::Lives]
        }),
        row("M-37", "user_info of 1,025 bytes", Door::Pusher, {
            then(vec![info(1_025)], no_subscription("presence-m", "LimitReached", 413))
        }),
        pusher("M-31", "a message beyond the frame's bound", text("x".repeat(65_537)), {
            closed(1009)
        }),
    ]
}

/// M-30, M-41, M-21: what a client event carries reaches others once, and as it was sent.
#[tokio::test]
async fn client_events_reach_others_as_they_were_sent() {
    let mut watch = Watch::start(ROOMY).await.expect("a gateway");
    let url = watch.gateway.url("/app/demokey?protocol=7");
    let (mut sender, sender_id) = Client::pusher(&url).await.expect("a client");
    let (mut other, other_id) = Client::pusher(&url).await.expect("a client");
    let auth = |id: &str| sign(&format!("{id}:private-m30"));
    sender.subscribe("private-m30", &auth(&sender_id)).await.expect("a subscription");
    for _ in 0..2 {
        other.subscribe("private-m30", &auth(&other_id)).await.expect("a subscription");
    }
    let long = "x".repeat(60_000);
    // As sent, and as heard: a string's content, of anything else its text.
    let strings = ["line\nbreak\r\t", "\u{1b}[31mred\u{7}", "\u{2028}\u{feff}\u{fffe}", "", &long];
    let texts = [
        r#"{"__proto__":{"admin":true},"constructor":1,"prototype":[]}"#,
        r#"{"b":1,"a":2,"b":3}"#,
        "1e999",
        "-0",
        "0.10000000000000000555111512312578270211815834045410156250",
        "null",
        "[ 1 ,2 ]",
    ];
    let strings = strings.map(|text| (serde_json::Value::from(text).to_string(), text));
    let texts = texts.map(|text| (String::from(text), text));
    for (sent, heard) in strings.into_iter().chain(texts) {
        let event = format!(r#"{{"event":"client-x","channel":"private-m30","data":{sent}}}"#);
        sender.send_text(&event).await.expect("sent");
        let event = other.event("client-x").await.expect("an event");
        assert_eq!(event["data"].as_str(), Some(heard));
        // Ten client events a second are allowed.
        tokio::time::sleep(Duration::from_millis(110)).await;
    }
    assert!(other.is_silent(Duration::from_millis(100)).await, "told twice");
    assert!(sender.is_silent(Duration::from_millis(100)).await, "told its own");
    drop((sender, other));
    watch.after().await.expect("nothing is left behind");
}

/// M-22, M-31, M-34, M-36: an app's own limits, where they are small.
#[tokio::test]
async fn an_apps_limits_are_told_by_their_reason() {
    let mut watch = Watch::start(ROOMY).await.expect("a gateway");
    let raw = "/a/small/raw?key=smallkey&publish=m";
    let entered =
        |target: &str| vec![Step::Send(upgrade(target).bytes()), Step::Answer(switched())];
    let greeted = Step::Event("pusher:connection_established", Vec::new());
    let four = all(["a", "b", "c", "d"].map(|name| text(subscribe(name))));
    let rows = [
        row("M-31", "a payload of 1,024 bytes: no fault", Door::Tcp, {
            then(entered(raw), vec![Step::Send(text("x".repeat(1_024))), Step::Lives])
        }),
        row("M-31", "a payload of 1,025 bytes", Door::Tcp, {
            then(entered(raw), then(vec![Step::Send(text("x".repeat(1_025)))], closed(1009)))
        }),
        row("M-34", "more than the app may publish", Door::Tcp, {
            then(entered(raw), then(vec![Step::Send(text("x").repeat(40))], closed(4429)))
        }),
        row("M-22", "the fourth of three channels", Door::Tcp, {
            let mut steps = entered("/app/smallkey?protocol=7");
            steps.extend([greeted, Step::Send(four)]);
            steps.extend(["a", "b", "c"].map(subscribed));
            then(steps, no_subscription("d", "LimitReached", 413))
        }),
        row("M-22", "the fourth of three channels, by URL", Door::Tcp, {
            let four = "/a/small/raw?key=smallkey&channel=a&channel=b&channel=c&channel=d";
            then(entered(four), closed(4429))
        }),
    ];
    watch.run(&rows).await;
}

/// M-45: valid messages in any order and state; nothing of it is ever our fault.
#[tokio::test]
async fn valid_messages_in_any_order_are_never_our_fault() {
    const SEEDS: u64 = 12;
    let mut watch = Watch::start(ROOMY).await.expect("a gateway");
    for seed in 0..SEEDS {
        let mut socket = Socket::connect(watch.gateway.address()).await.expect("a socket");
        enter(&mut socket, &upgrade("/app/demokey?protocol=7")).await.expect("an upgrade");
        let id = greeted(&mut socket).await.expect("a greeting");
        let choices = valid(&id);
        // A linear congruential generator, so that a seed is a run.
        let mut state = seed;
        let mut chosen = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            &choices[usize::try_from(state >> 33).expect("31 bits") % choices.len()]
        };
        let sent: Vec<u8> = (0..150).flat_map(|_| text(chosen())).collect();
        socket.send(&sent).await.expect("sent");
        socket.send(&ping("end")).await.expect("sent");
        loop {
            match socket.frame().await.unwrap_or_else(|error| panic!("seed {seed}: {error:#}")) {
                Frame::Pong(_) => break,
                Frame::Text(_) => {}
                frame => panic!("seed {seed}: {}", short(&frame)),
            }
        }
        drop(socket);
        watch.after().await.expect("nothing is left behind");
    }
}

/// Messages that a client library could send, right and refused, but none that cannot be read.
fn valid(id: &str) -> Vec<String> {
    let joins = ["private-m45", "presence-m45", "private-encrypted-m45", "private-cache-m45"];
    let subscribe_to = |channel: &str, data: Option<&str>| {
        let signed =
            data.map_or_else(|| format!("{id}:{channel}"), |data| format!("{id}:{channel}:{data}"));
        let data = serde_json::json!({
            "channel": channel, "auth": sign(&signed), "channel_data": data,
        });
        serde_json::json!({"event": "pusher:subscribe", "data": data}).to_string()
    };
    let unsubscribe = |channel: &str| {
        format!(r#"{{"event":"pusher:unsubscribe","data":{{"channel":"{channel}"}}}}"#)
    };
    let event =
        |channel: &str| format!(r#"{{"event":"client-x","channel":"{channel}","data":{{"n":1}}}}"#);
    let user = r#"{"id":"7"}"#;
    let sign_in = serde_json::json!({
        "event": "pusher:signin",
        "data": {"auth": sign(&format!("{id}::user::{user}")), "user_data": user},
    });
    let mut all = vec![
        subscribe("m45"),
        subscribe("cache-m45"),
        subscribe("private-unsigned"),
        subscribe("#server-to-user-7"),
        unsubscribe("m45"),
        unsubscribe("#server-to-user-7"),
        event("private-m45"),
        event("presence-m45"),
        sign_in.to_string(),
        String::from(r#"{"event":"pusher:ping","data":{}}"#),
        String::from(r#"{"event":"pusher:pong","data":{}}"#),
    ];
    all.extend(joins.map(|channel| subscribe_to(channel, None)));
    all.push(subscribe_to("presence-m45", Some(r#"{"user_id":"7","user_info":{}}"#)));
    all.push(subscribe_to("presence-cache-m45", Some(r#"{"user_id":8}"#)));
    all.extend(joins.map(unsubscribe));
    all
}
