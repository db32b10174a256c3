//! S: signatures of Pusher's channels and sign-ins, signatures of its HTTP API, and what that API
//! is sent by those who may ask. Every wrong signature reads alike.

use md5::{Digest as _, Md5};
use tests::client::{hmac_hex, pusher_auth};

use super::ROOMY;
use super::after::Watch;
use super::row::{
    Answer, Door, Row, Step, http, http_kept, no_subscription, pusher_closed, refused, row, say,
    sign, status, subscribed, then,
};
use super::wire::{get, post, request};

const SECRET: &str = "demo-secret-0123456789";

#[tokio::test]
async fn signatures_are_judged_as_the_table_says() {
    let mut watch = Watch::start(ROOMY).await.expect("a gateway");
    watch.run(&table()).await;
}

pub(super) fn table() -> Vec<Row> {
    let parts = [channels(), presence(), sign_ins(), requests(), events(), calls()];
    parts.into_iter().flatten().collect()
}

/// Subscribes with the `auth` that is made of the socket id.
fn join(channel: &'static str, auth: impl Fn(&str) -> String + 'static) -> Step {
    say(move |id| {
        let auth = auth(id);
        let data = serde_json::json!({"channel": channel, "auth": auth});
        serde_json::json!({"event": "pusher:subscribe", "data": data}).to_string()
    })
}

fn channels() -> Vec<Row> {
    let digest = |id: &str| hmac_hex(SECRET, &format!("{id}:private-s"));
    let wrong = |id, what, auth: fn(&str) -> String| {
        let answer = no_subscription("private-s", "AuthError", 401);
        row(id, what, Door::Pusher, then(vec![join("private-s", auth)], answer))
    };
    vec![
        row("S-01", "right: no fault", Door::Pusher, {
            let step = join("private-s", move |id| format!("demokey:{}", digest(id)));
            vec![step, subscribed("private-s"), Step::Lives]
        }),
        wrong("S-02", "none", |_| String::new()),
        wrong("S-03", "of another connection", |_| sign("1.1:private-s")),
        wrong("S-04", "of another channel", |id| sign(&format!("{id}:private-t"))),
        wrong("S-04", "of the channel alone", |_| sign("private-s")),
        wrong("S-05", "of another app, by its key", |id| {
            pusher_auth("otherkey", "other-secret-0123456789", &format!("{id}:private-s"))
        }),
        wrong("S-05", "by another app's secret", |id| {
            pusher_auth("demokey", "other-secret-0123456789", &format!("{id}:private-s"))
        }),
        wrong("S-05", "by another app's key name", |id| {
            pusher_auth("otherkey", SECRET, &format!("{id}:private-s"))
        }),
        wrong("S-06", "in capitals", |id| {
            format!("demokey:{}", hmac_hex(SECRET, &format!("{id}:private-s")).to_uppercase())
        }),
        wrong("S-07", "63 digits", |id| {
            let auth = sign(&format!("{id}:private-s"));
            String::from(&auth[..auth.len() - 1])
        }),
        wrong("S-07", "65 digits", |id| sign(&format!("{id}:private-s")) + "0"),
        wrong("S-07", "a space behind", |id| sign(&format!("{id}:private-s")) + " "),
        wrong("S-08", "no colon", |id| sign(&format!("{id}:private-s")).replace(':', "")),
        wrong("S-08", "no key", |id| sign(&format!("{id}:private-s")).replace("demokey", "")),
        wrong("S-08", "no digest", |_| String::from("demokey:")),
        wrong("S-08", "the key alone", |_| String::from("demokey")),
        wrong("S-08", "a colon too many", |id| sign(&format!("{id}:private-s")).replace(':', "::")),
        wrong("S-09", "a digest of zeros", |_| format!("demokey:{}", "0".repeat(64))),
        wrong("S-09", "no hex", |_| format!("demokey:{}", "g".repeat(64))),
        wrong("S-09", "60 KB of digest", |_| format!("demokey:{}", "0".repeat(60_000))),
        wrong("S-10", "with data that is not there", |id| sign(&format!("{id}:private-s:{{}}"))),
        wrong("S-10", "as a sign-in", |id| sign(&format!("{id}::user::private-s"))),
        row("S-11", "a wrong one on a public channel", Door::Pusher, {
            let step = join("public-s", |_| format!("demokey:{}", "0".repeat(64)));
            then(vec![step], no_subscription("public-s", "AuthError", 401))
        }),
        row("S-12", "a right one does not open what is the server's", Door::Pusher, {
            let step = join("locked-s", |id| sign(&format!("{id}:locked-s")));
            then(vec![step], no_subscription("locked-s", "AuthError", 403))
        }),
        row("S-12", "a right one does not open a user's channel", Door::Pusher, {
            let step = join("#server-to-user-7", |id| sign(&format!("{id}:#server-to-user-7")));
            then(vec![step], no_subscription("#server-to-user-7", "AuthError", 401))
        }),
    ]
}

const MEMBER: &str = r#"{"user_id":"7"}"#;

fn presence() -> Vec<Row> {
    let member = |auth: fn(&str) -> String, data: &'static str| {
        say(move |id| {
            let auth = auth(id);
            let data =
                serde_json::json!({"channel": "presence-s", "auth": auth, "channel_data": data});
            serde_json::json!({"event": "pusher:subscribe", "data": data}).to_string()
        })
    };
    let wrong = |id, what, step| {
        row(
            id,
            what,
            Door::Pusher,
            then(vec![step], no_subscription("presence-s", "AuthError", 401)),
        )
    };
    let right = |id: &str| sign(&format!("{id}:presence-s:{MEMBER}"));
    vec![
        row("S-13", "right: no fault", Door::Pusher, {
            vec![member(right, MEMBER), subscribed("presence-s"), Step::Lives]
        }),
        wrong("S-13", "data changed", member(right, r#"{"user_id":"8"}"#)),
        wrong("S-13", "data with one more space", member(right, r#"{"user_id": "7"}"#)),
        wrong("S-13", "data not signed", {
            member(|id| sign(&format!("{id}:presence-s")), MEMBER)
        }),
        wrong("S-13", "no data, not signed in", {
            join("presence-s", |id| sign(&format!("{id}:presence-s")))
        }),
        wrong("S-13", "nothing", join("presence-s", |_| String::new())),
    ]
}

fn sign_in(auth: fn(&str) -> String, user_data: &'static str) -> Step {
    say(move |id| {
        let data = serde_json::json!({"auth": auth(id), "user_data": user_data});
        serde_json::json!({"event": "pusher:signin", "data": data}).to_string()
    })
}

fn sign_ins() -> Vec<Row> {
    const SEVEN: &str = r#"{"id":"7"}"#;
    const EIGHT: &str = r#"{"id":"8"}"#;
    let seven = |id: &str| sign(&format!("{id}::user::{SEVEN}"));
    let eight = |id: &str| sign(&format!("{id}::user::{EIGHT}"));
    let signed_in = || {
        vec![sign_in(seven, SEVEN), Step::Event("pusher:signin_success", vec![String::from("7")])]
    };
    let wrong = |what, auth: fn(&str) -> String, data| {
        row("S-14", what, Door::Pusher, then(vec![sign_in(auth, data)], pusher_closed(4009)))
    };
    let unread = |what, data: &'static str| {
        let step = sign_in(|_| String::from("demokey:x"), data);
        row("S-15", what, Door::Pusher, then(vec![step], refused("bad_message")))
    };
    let again = Step::Event("pusher:error", vec![String::from(r#""code":4009,"#)]);
    vec![
        row("S-14", "right: no fault", Door::Pusher, then(signed_in(), vec![Step::Lives])),
        wrong("none", |_| String::new(), SEVEN),
        wrong("user changed", seven, EIGHT),
        wrong("of another connection", |_| sign(&format!("1.1::user::{SEVEN}")), SEVEN),
        wrong("as a channel's", |id| sign(&format!("{id}:user:{SEVEN}")), SEVEN),
        wrong(
            "by another app",
            {
                |id| {
                    pusher_auth(
                        "otherkey",
                        "other-secret-0123456789",
                        &format!("{id}::user::{SEVEN}"),
                    )
                }
            },
            SEVEN,
        ),
        unread("no user", "{}"),
        unread("a user that is no object", "\"7\""),
        unread("an id that is null", r#"{"id":null}"#),
        unread("an id of 129 bytes", {
            Box::leak(format!(r#"{{"id":"{}"}}"#, "x".repeat(129)).into_boxed_str())
        }),
        row("S-16", "signs in twice: no fault", Door::Pusher, {
            then(signed_in(), then(signed_in(), vec![Step::Lives]))
        }),
        row("S-16", "signs in as someone else", Door::Pusher, {
            then(signed_in(), vec![sign_in(eight, EIGHT), again, Step::Lives])
        }),
        row("S-16", "hears its own channel: no fault", Door::Pusher, {
            let own = "#server-to-user-7";
            then(signed_in(), vec![join(own, |_| String::new()), subscribed(own), Step::Lives])
        }),
        row("S-16", "does not hear another's", Door::Pusher, {
            let others = "#server-to-user-8";
            let answer = no_subscription(others, "AuthError", 401);
            then(signed_in(), then(vec![join(others, |_| String::new())], answer))
        }),
    ]
}

/// A request to the HTTP API, signed by the demo app, and broken before or after signing.
#[derive(Clone)]
struct Call {
    method: &'static str,
    path: String,
    parameters: Vec<(String, String)>,
    body: String,
    secret: &'static str,
}

fn call(method: &'static str, path: &str, body: impl Into<String>) -> Call {
    let body = body.into();
    let now = runtime::clock::unix_seconds();
    let call = Call {
        method,
        path: format!("/apps/1/{path}"),
        parameters: Vec::new(),
        body: body.clone(),
        secret: SECRET,
    };
    let call = call.with("auth_key", "demokey").with("auth_version", "1.0");
    let call = call.with("auth_timestamp", &now.to_string());
    if body.is_empty() { call } else { call.with("body_md5", &md5_hex(&body)) }
}

fn trigger(body: &str) -> Call {
    call("POST", "events", body)
}

/// A right request of which half of the body is missing.
pub(super) fn unfinished() -> Vec<u8> {
    let whole = trigger(EVENT).bytes();
    whole[..whole.len() - 10].to_vec()
}

const EVENT: &str = r#"{"name":"e","channel":"c","data":"d"}"#;

impl Call {
    fn with(self, name: &str, value: &str) -> Self {
        let mut call = self.without(name);
        call.parameters.push((String::from(name), String::from(value)));
        call
    }

    fn without(mut self, name: &str) -> Self {
        self.parameters.retain(|(known, _)| known != name);
        self
    }

    fn by(self, secret: &'static str) -> Self {
        Self { secret, ..self }
    }

    fn at(self, path: &str) -> Self {
        Self { path: String::from(path), ..self }
    }

    fn signature(&self) -> String {
        let mut sorted = self.parameters.clone();
        sorted.sort();
        let pairs: Vec<String> = sorted.iter().map(|(k, v)| format!("{k}={v}")).collect();
        hmac_hex(self.secret, &format!("{}\n{}\n{}", self.method, self.path, pairs.join("&")))
    }

    /// Right as it stands.
    fn bytes(self) -> Vec<u8> {
        let signature = self.signature();
        self.signed(&signature)
    }

    /// With a signature of the caller's.
    fn signed(self, signature: &str) -> Vec<u8> {
        let pairs: Vec<String> = self.parameters.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let query = format!("{}&auth_signature={signature}", pairs.join("&"));
        let target = format!("{}?{query}", self.path);
        match self.body.is_empty() {
            true => request(self.method, &target).bytes(),
            false => post(&target, &self.body)
                .line(format!("{} {target} HTTP/1.1", self.method))
                .add("Content-Type", "application/json")
                .bytes(),
        }
    }

    /// Signed as it is, then sent with another body.
    fn then_body(self, body: &str) -> Vec<u8> {
        let signature = self.signature();
        Self { body: String::from(body), ..self }.signed(&signature)
    }
}

fn md5_hex(text: &str) -> String {
    Md5::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What every wrong signature is told.
fn stranger() -> Answer {
    status(401).plain("the signature does not hold: check the key, its secret and what is signed\n")
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn requests() -> Vec<Row> {
    let good = || trigger(EVENT);
    // Whoever is refused before the body is read loses the socket; the others keep it.
    let wrong = |id, what, bytes| http(id, what, bytes, stranger());
    let early = |id, what, bytes, piece| http(id, what, bytes, status(401).plain(piece));
    let told = |id, what, bytes, piece| http_kept(id, what, bytes, status(401).plain(piece));
    let at = |seconds: i64| {
        let now = i64::try_from(runtime::clock::unix_seconds()).expect("a time of today");
        good().with("auth_timestamp", &(now + seconds).to_string())
    };
    let other = "other-secret-0123456789";
    let missing = [
        ("auth_key", "auth_key is missing"),
        ("auth_version", "auth_version is missing"),
        ("auth_timestamp", "auth_timestamp is missing"),
        ("body_md5", "body_md5 is missing"),
    ];
    let mut rows: Vec<Row> = missing
        .map(|(name, piece)| {
            let is_late = name == "body_md5";
            let refused = if is_late { http_kept } else { http };
            let bytes = good().without(name).bytes();
            refused("S-20", "a parameter is missing", bytes, status(401).plain(piece))
        })
        .into();
    rows.extend([
        http_kept("S-20", "right: no fault", good().bytes(), status(200).json("{}")),
        told(
            "S-20",
            "no signature",
            get("/apps/1/channels?auth_key=demokey&auth_version=1.0&auth_timestamp=1").bytes(),
            "auth_signature is missing",
        ),
        early("S-20", "no parameters", post("/apps/1/events", EVENT).bytes(), "auth_key"),
        early("S-21", "version 2.0", good().with("auth_version", "2.0").bytes(), "must be 1.0"),
        early("S-21", "a time in words", good().with("auth_timestamp", "now").bytes(), "seconds"),
        early("S-21", "a negative time", good().with("auth_timestamp", "-1").bytes(), "seconds"),
        early(
            "S-21",
            "a time of 30 digits",
            good().with("auth_timestamp", &"9".repeat(30)).bytes(),
            "seconds",
        ),
        early("S-21", "11 minutes ago", at(-660).bytes(), "more than 600 seconds"),
        early("S-21", "in 11 minutes", at(660).bytes(), "more than 600 seconds"),
        http_kept("S-21", "9 minutes ago: no fault", at(-540).bytes(), status(200)),
        wrong("S-22", "11 minutes ago by a stranger", at(-660).by(other).bytes()),
        wrong("S-22", "another secret", good().by(other).bytes()),
        wrong("S-22", "another app's key", good().with("auth_key", "otherkey").by(other).bytes()),
        wrong("S-22", "an unknown key", good().with("auth_key", "nobody").bytes()),
        wrong("S-22", "zeros", good().signed(&"0".repeat(64))),
        early(
            "S-22",
            "capitals",
            {
                let call = good();
                let signature = call.signature().to_uppercase();
                call.signed(&signature)
            },
            "64 lower-case hex digits",
        ),
        early("S-22", "short", good().signed("abc"), "64 lower-case hex digits"),
        early("S-22", "empty", good().signed(""), "64 lower-case hex digits"),
        wrong("S-23", "of another path", {
            let signature = good().at("/apps/1/batch_events").signature();
            good().signed(&signature)
        }),
        wrong("S-23", "of another method", {
            let signature = Call { method: "GET", ..good() }.signature();
            good().signed(&signature)
        }),
        wrong("S-23", "of another app's path", {
            let signature = good().at("/apps/2/events").signature();
            good().signed(&signature)
        }),
        wrong("S-23", "one parameter more than signed", {
            let signature = good().signature();
            good().with("info", "user_count").signed(&signature)
        }),
        wrong("S-23", "one parameter changed", {
            let signature = at(-5).signature();
            good().signed(&signature)
        }),
        http(
            "S-23",
            "a parameter twice",
            {
                let mut call = good();
                call.parameters.push((String::from("auth_key"), String::from("demokey")));
                call.bytes()
            },
            status(400).plain("may be given once"),
        ),
        http(
            "S-23",
            "a parameter twice, in other case",
            {
                let mut call = good();
                call.parameters.push((String::from("AUTH_KEY"), String::from("otherkey")));
                call.bytes()
            },
            status(400).plain("may be given once"),
        ),
        told(
            "S-24",
            "another body of the same length",
            good().then_body(&EVENT.replace("\"d\"", "\"x\"")),
            "body_md5 is not the MD5",
        ),
        http(
            "S-24",
            "judged before the body comes",
            {
                let whole = good().by(other).bytes();
                whole[..whole.len() - 10].to_vec()
            },
            stranger(),
        ),
        told("S-24", "no body", good().then_body(""), "body_md5 is not the MD5"),
        early(
            "S-24",
            "an MD5 in capitals",
            good().with("body_md5", &md5_hex(EVENT).to_uppercase()).bytes(),
            "32 lower-case hex digits",
        ),
        wrong("S-25", "an unknown app", good().at("/apps/99/events").bytes()),
        wrong("S-25", "another app, by our key", good().at("/apps/2/events").bytes()),
        http(
            "S-25",
            "an app that is off",
            {
                good()
                    .at("/apps/6/events")
                    .with("auth_key", "offkey")
                    .by("off-secret-0123456789")
                    .bytes()
            },
            status(403).plain("switched off"),
        ),
        http("S-26", "an app id in words", good().at("/apps/demo/events").bytes(), {
            status(404).plain("no app has this id")
        }),
        http("S-26", "an app id with a sign", good().at("/apps/+1/events").bytes(), {
            status(404).plain("no app has this id")
        }),
        http(
            "S-26",
            "an app id of 30 digits",
            good().at(&format!("/apps/{}/events", "1".repeat(30))).bytes(),
            status(404).plain("no app has this id"),
        ),
        http("S-26", "no app id", good().at("/apps//events").bytes(), {
            status(404).plain("no app has this id")
        }),
    ]);
    rows
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn events() -> Vec<Row> {
    let bad = |what, body: &str, piece| {
        http_kept("S-30", what, trigger(body).bytes(), status(400).plain(piece))
    };
    let channels = |count: usize| {
        let names: Vec<String> = (0..count).map(|n| format!("\"c{n}\"")).collect();
        format!(r#"{{"name":"e","data":"d","channels":[{}]}}"#, names.join(","))
    };
    let batch = |events: &str| call("POST", "batch_events", format!(r#"{{"batch":[{events}]}}"#));
    let batched = |what, events: &str, piece| {
        http_kept("S-31", what, batch(events).bytes(), status(400).plain(piece))
    };
    let one = r#"{"name":"e","channel":"c","data":"d"}"#;
    let named = |name: &str| format!(r#"{{"name":"{name}","channel":"c","data":"d"}}"#);
    let to = |channel: &str| format!(r#"{{"name":"e","channel":"{channel}","data":"d"}}"#);
    vec![
        bad("no JSON", "hello", "body: the message must be one JSON object"),
        bad("an array", "[]", "body: the message must be one JSON object"),
        bad("two objects", &format!("{EVENT}{EVENT}"), "body: "),
        bad("a field twice", r#"{"name":"e","name":"f","channel":"c","data":"d"}"#, "body: "),
        bad("depth 33", &format!("{}1{}", r#"{"a":"#.repeat(33), "}".repeat(33)), "32 levels"),
        bad("half of a character", r#"{"name":"e","channel":"c","data":"\ud800"}"#, "surrogate"),
        bad("no name", r#"{"channel":"c","data":"d"}"#, "name must be a string"),
        bad("a name of 201 bytes", &named(&"n".repeat(201)), "name must be 1 to 200 bytes"),
        bad("an empty name", &named(""), "name must be 1 to 200 bytes"),
        bad("a name with a line break", &named("a\\nb"), "name must be 1 to 200 bytes"),
        bad("no data", r#"{"name":"e","channel":"c"}"#, "data must be a string"),
        bad("data null", r#"{"name":"e","channel":"c","data":null}"#, "data must be a string"),
        bad("data an object", r#"{"name":"e","channel":"c","data":{}}"#, "data must be a string"),
        bad("no channel", r#"{"name":"e","data":"d"}"#, "channels is missing"),
        bad("no channel within channels", &channels(0), "at least one string"),
        bad("channels not strings", r#"{"name":"e","data":"d","channels":[1]}"#, "string"),
        bad("channel and channels", r#"{"name":"e","data":"d","channel":"a","channels":["b"]}"#, {
            "not both"
        }),
        bad("101 channels", &channels(101), "channels must be at most 100"),
        http_kept("S-30", "100 channels: no fault", trigger(&channels(100)).bytes(), status(200)),
        bad("a bad channel", &to("a b"), "the channel's name must be"),
        bad("an empty channel", &to(""), "the channel's name must be"),
        bad("a channel of 201 bytes", &to(&"c".repeat(201)), "the channel's name must be"),
        bad("#", &to("#all"), "the channel's name must be"),
        bad(
            "encrypted and others",
            r#"{"name":"e","data":"d","channels":["private-encrypted-a","b"]}"#,
            "only channel",
        ),
        bad("socket_id in words", r#"{"name":"e","channel":"c","data":"d","socket_id":"x"}"#, {
            "socket_id must be"
        }),
        bad("socket_id a number", r#"{"name":"e","channel":"c","data":"d","socket_id":1.2}"#, {
            "socket_id must be"
        }),
        bad("info unknown", r#"{"name":"e","channel":"c","data":"d","info":"secrets"}"#, "info"),
        http_kept(
            "S-30",
            "a payload beyond the app's bound",
            {
                let data = "x".repeat(65_537);
                trigger(&format!(r#"{{"name":"e","channel":"c","data":"{data}"}}"#)).bytes()
            },
            status(413).plain("larger than the app allows"),
        ),
        http(
            "S-30",
            "a body beyond the gateway's bound",
            trigger(&"x".repeat((1 << 20) + 1)).bytes(),
            status(413).plain("too large").header("connection", "close"),
        ),
        batched("eleven events", &[one; 11].join(","), "at most 10"),
        batched("channels in an event", r#"{"name":"e","channels":["c"],"data":"d"}"#, "channel"),
        batched("one of two is bad", &format!(r#"{one},{{"name":"e"}}"#), "data must be"),
        batched("an event that is no object", "7", "each event of batch must be an object"),
        http_kept(
            "S-31",
            "a batch that is no array",
            call("POST", "batch_events", r#"{"batch":{}}"#).bytes(),
            status(400).plain("batch must be an array"),
        ),
        http_kept("S-31", "an empty batch: nothing to do", batch("").bytes(), status(200)),
    ]
}

fn calls() -> Vec<Row> {
    let asked = |id, what, call: Call, code, piece| {
        http_kept(id, what, call.bytes(), status(code).plain(piece))
    };
    let read = |path: &str| call("GET", path, "");
    vec![
        asked("S-32", "GET events", read("events"), 405, "POST only"),
        asked("S-32", "POST channels", call("POST", "channels", "{}"), 405, "GET only"),
        asked("S-32", "PUT events", call("PUT", "events", EVENT), 405, "POST only"),
        asked("S-32", "an unknown path", read("nothing"), 404, "no such path"),
        asked("S-32", "a path too long", read("channels/c/users/7"), 404, "no such path"),
        asked("S-33", "users of a public channel", read("channels/c/users"), 400, "presence-"),
        asked(
            "S-33",
            "user_count of a public channel",
            read("channels/c").with("info", "user_count"),
            400,
            "presence-",
        ),
        asked(
            "S-33",
            "user_count of all channels",
            read("channels").with("info", "user_count"),
            400,
            "presence-",
        ),
        asked("S-33", "unknown info", read("channels/c").with("info", "x"), 400, "info must be"),
        http_kept(
            "S-33",
            "a bad channel",
            {
                let call = read("channels/a b");
                let signature = call.signature();
                call.at("/apps/1/channels/a%20b").signed(&signature)
            },
            status(400).plain("the channel's name must be"),
        ),
        asked(
            "S-33",
            "a user of 129 bytes",
            call("POST", &format!("users/{}/terminate_connections", "7".repeat(129)), "{}"),
            400,
            "the user's id must be",
        ),
    ]
}
