//! P: our own HTTP API, as `docs/api.md` promises it.

mod messages;
mod requests;

use std::sync::LazyLock;
use std::time::Duration;

use gateway::auth::bearer::{self, Generated};
use serde_json::Value;
use tests::Client;

use crate::bad_input::ROOMY;
use crate::bad_input::after::Watch;
use crate::bad_input::row::{Answer, Door, Row, Step, ends, row, status, switched};
use crate::bad_input::socket::{Response, Socket};
use crate::bad_input::wire::{Request, get, post, upgrade};

/// A bearer key each of `demo`, `other` and `small`, made for this run.
pub(super) struct Keys {
    pub(super) demo: Generated,
    pub(super) other: Generated,
    pub(super) small: Generated,
    pub(super) off: Generated,
}

pub(super) static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let key = || bearer::generate(model::Environment::Production);
    Keys { demo: key(), other: key(), small: key(), off: key() }
});

const PUBLISH: &str = "/v1/apps/demo/publish";
const MESSAGE: &str = r#"{"channel":"p","data":1}"#;

#[tokio::test]
async fn api_requests_are_answered_as_the_table_says() {
    let mut watch = Watch::start(ROOMY).await.expect("a gateway");
    watch.run(&table()).await;
}

pub(super) fn table() -> Vec<Row> {
    let parts = [
        requests::credentials(),
        requests::paths(),
        requests::bodies(),
        requests::framing(),
        messages::channels(),
        messages::payloads(),
        messages::batches(),
        messages::once(),
        requests::ignored(),
        messages::questions(),
    ];
    parts.into_iter().flatten().collect()
}

fn bearer(key: &Generated) -> String {
    format!("Bearer {}", key.text.expose())
}

/// Everything right but for the body.
fn publish(body: impl AsRef<[u8]>) -> Request {
    to(PUBLISH, body)
}

/// A right request of which half of the body is missing.
pub(super) fn unfinished() -> Vec<u8> {
    let whole = publish(MESSAGE).bytes();
    whole[..whole.len() - 10].to_vec()
}

fn to(path: &str, body: impl AsRef<[u8]>) -> Request {
    post(path, body)
        .add("Authorization", bearer(&KEYS.demo))
        .add("Content-Type", "application/json")
}

fn ask(path: &str) -> Request {
    get(path).add("Authorization", bearer(&KEYS.demo))
}

/// A request and its answer. Whether the socket goes on is the server's choice where a body was
/// left unread, and where the answer says so it ends.
fn asked(id: &'static str, what: &'static str, asked: impl Into<Vec<u8>>, answer: Answer) -> Row {
    let last = answer.closes().then(ends);
    let mut steps = vec![Step::Send(asked.into()), Step::Answer(answer)];
    steps.extend(last);
    row(id, what, Door::Tcp, steps)
}

fn stranger() -> Answer {
    status(401).code("unauthorized").header("www-authenticate", "Bearer")
}

fn wrong(code: u16, word: &'static str) -> Answer {
    status(code).code(word).no("access-control-allow-origin")
}

async fn ask_once(watch: &Watch, request: &Request) -> Response {
    let mut socket = Socket::connect(watch.gateway.address()).await.expect("a socket");
    socket.send(&request.bytes()).await.expect("sent");
    socket.response().await.expect("an answer")
}

/// P-02, H-51, S-25: what a stranger is told does not depend on what exists.
#[tokio::test]
async fn strangers_are_answered_alike_to_the_byte() {
    let watch = Watch::start(ROOMY).await.expect("a gateway");
    let other = |path: &str| to(path, MESSAGE).set("Authorization", bearer(&KEYS.other));
    let groups: [Vec<Request>; 2] = [
        vec![
            other(PUBLISH),
            other("/v1/apps/nobody/publish"),
            to(PUBLISH, MESSAGE).set("Authorization", "Bearer x"),
            to(PUBLISH, MESSAGE).without("Authorization"),
        ],
        vec![
            upgrade("/a/nosuch/raw?key=demokey"),
            upgrade("/a/demo/raw?key=otherkey"),
            upgrade("/a/demo/raw"),
            upgrade(&format!("/a/demo/raw?key=demokey&expires=1&signature={}", "0".repeat(64))),
        ],
    ];
    for group in groups {
        let mut answers = Vec::new();
        for request in &group {
            let response = ask_once(&watch, request).await;
            let mut body: Value = serde_json::from_slice(&response.body).expect("a problem");
            body.as_object_mut().expect("an object").remove("request_id");
            let kept = |(name, _): &(String, String)| name != "x-request-id" && name != "date";
            let headers: Vec<_> = response.headers.into_iter().filter(kept).collect();
            answers.push((response.status, headers, body.to_string()));
        }
        let first = &answers[0];
        assert!(answers.iter().all(|answer| answer == first), "{answers:#?}");
    }
}

/// P-27: told when to come back.
#[tokio::test]
async fn too_many_publications_are_refused_with_a_time() {
    let watch = Watch::start(ROOMY).await.expect("a gateway");
    let request = to("/v1/apps/small/publish", MESSAGE).set("Authorization", bearer(&KEYS.small));
    let mut refused = 0;
    for _ in 0..40 {
        let response = ask_once(&watch, &request).await;
        if response.status == 200 {
            continue;
        }
        let answer = wrong(429, "rate_limited")
            .header("retry-after", "1")
            .header("ratelimit-limit", "5")
            .header("ratelimit-remaining", "0")
            .header("ratelimit-reset", "1");
        answer.check(&response).expect("the answer");
        refused += 1;
    }
    assert!(refused > 0, "40 at once, 5 a second are allowed");
}

/// P-25, P-30: one of two at once is carried out, and one whose client left is carried out whole.
#[tokio::test]
async fn a_request_with_a_key_is_carried_out_once() {
    let mut watch = Watch::start(ROOMY).await.expect("a gateway");
    let url = watch.gateway.url("/a/demo/raw?key=demokey&channel=once");
    let mut subscriber = Client::connect(&url).await.expect("a subscriber");
    let keyed = |key: &str, data: &str| {
        publish(format!(r#"{{"channel":"once","data":"{data}"}}"#)).add("Idempotency-Key", key)
    };
    let both = keyed("both", "both");
    let (one, two) = tokio::join!(ask_once(&watch, &both), ask_once(&watch, &both));
    assert_eq!((one.status, two.status), (200, 200));
    assert_eq!(one.text(), two.text());
    assert_eq!(subscriber.text().await.expect("a message"), "both");

    for n in 0..20 {
        let request = keyed(&format!("left-{n}"), &format!("{n}"));
        let mut socket = Socket::connect(watch.gateway.address()).await.expect("a socket");
        socket.send(&request.bytes()).await.expect("sent");
        drop(socket);
        let again = ask_once(&watch, &request).await;
        assert_eq!(again.status, 200, "{}", again.text());
        assert_eq!(subscriber.text().await.expect("a message"), format!("{n}"));
    }
    assert!(subscriber.is_silent(Duration::from_millis(200)).await, "told twice");
    drop(subscriber);
    watch.after().await.expect("nothing is left behind");
}

/// P-31: what has begun when the gateway stops is finished.
#[tokio::test]
async fn a_request_that_has_begun_is_finished_by_a_gateway_that_stops() {
    let watch = Watch::start(ROOMY).await.expect("a gateway");
    let mut socket = Socket::connect(watch.gateway.address()).await.expect("a socket");
    let whole = publish(MESSAGE).bytes();
    let (first, rest) = whole.split_at(whole.len() - 5);
    socket.send(first).await.expect("sent");
    tokio::time::sleep(Duration::from_millis(200)).await;
    let running = std::sync::Arc::clone(&watch.gateway.running);
    let stopping = std::thread::Builder::new().spawn(move || running.stop()).expect("a thread");
    tokio::time::sleep(Duration::from_millis(200)).await;
    socket.send(rest).await.expect("sent");
    let response = socket.response().await.expect("an answer");
    status(200).header("connection", "close").check(&response).expect("the answer");
    stopping.join().expect("it stops");
}

/// P-03: a key that is gone is gone at once; one that is new is there.
#[tokio::test]
async fn a_key_that_was_taken_away_is_a_strangers() {
    let watch = Watch::start(ROOMY).await.expect("a gateway");
    let request = publish(MESSAGE);
    assert_eq!(ask_once(&watch, &request).await.status, 200);
    let apps = crate::bad_input::apps()
        .replace(&KEYS.demo.key_id, &KEYS.off.key_id[..].chars().rev().collect::<String>());
    watch.gateway.apply(&apps).await.expect("applied");
    stranger().check(&ask_once(&watch, &request).await).expect("a stranger");
    switched()
        .check(&ask_once(&watch, &upgrade("/a/demo/raw?key=demokey")).await)
        .expect("clients are not concerned");
}
