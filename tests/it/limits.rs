//! Every limit that a live client can hit: the exact answer, that others are not touched, and that
//! what was taken is given back. Requests and frames as such are the bad-input suite's.

use serde_json::json;
use tests::client::demo_auth;
use tests::gateway::{APPS, ROOMY};
use tests::pusher_api::member;
use tests::{Client, Gateway, PusherApi, eventually, http};

use crate::apps::with_limits;

const RAW: &str = "/a/demo/raw?key=demokey&channel=room";
const PUSHER: &str = "/app/demokey?protocol=7";
/// Attempts that no machine spreads over so many seconds.
const ENOUGH: usize = 50;
/// For what must not come.
const A_WHILE: std::time::Duration = std::time::Duration::from_millis(100);

/// A gateway whose app `demo` has these limits.
fn app(limits: &str) -> Gateway {
    Gateway::start(ROOMY, &with_limits(limits)).expect("a gateway")
}

/// A gateway with these limits of its own in place of the roomy ones.
fn own(limits: &str) -> Gateway {
    let (config, _) = ROOMY.split_once("[limits]").expect("ROOMY ends with limits");
    Gateway::start(&format!("{config}[limits]\n{limits}"), APPS).expect("a gateway")
}

async fn raw(gateway: &Gateway) -> Client {
    Client::connect(&gateway.url(RAW)).await.expect("a raw client")
}

async fn publisher(gateway: &Gateway) -> Client {
    let url = gateway.url("/a/demo/raw?key=demokey&publish=room");
    Client::connect(&url).await.expect("a raw publisher")
}

async fn pusher(gateway: &Gateway) -> (Client, String) {
    Client::pusher(&gateway.url(PUSHER)).await.expect("a Pusher client")
}

async fn code(client: &mut Client) -> u16 {
    client.closed().await.expect("in time").expect("a close frame").0
}

async fn pusher_refusal(gateway: &Gateway) -> u16 {
    let mut client = Client::connect(&gateway.url(PUSHER)).await.expect("upgraded, to be told");
    let error = client.event("pusher:error").await.expect("the reason first");
    let told = error["data"]["code"].as_u64();
    let code = code(&mut client).await;
    assert_eq!(told, Some(u64::from(code)));
    code
}

/// Connects at once until the rate is reached: on a busy machine later than on an idle one.
async fn first_refused(gateway: &Gateway) -> http::Answer {
    for _ in 0..ENOUGH {
        if let Ok(answer) = http::refused_upgrade(gateway.address(), RAW).await {
            return answer;
        }
    }
    panic!("never refused");
}

async fn active(gateway: &Gateway, count: f64) {
    eventually(&format!("{count} connections are left"), async || {
        (gateway.metrics().active() == count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn connections_of_an_app() {
    let gateway = app("connections_max = 3\n");
    let mut open = vec![raw(&gateway).await, raw(&gateway).await];
    open.push(pusher(&gateway).await.0);
    assert_eq!(pusher_refusal(&gateway).await, 4004);
    let mut refused = raw(&gateway).await;
    assert_eq!(code(&mut refused).await, 4429);
    assert_eq!(gateway.metrics().rejected("connection_quota"), 2.0);
    // Another app has its own.
    let url = gateway.url("/a/echo/raw?key=echokey");
    let mut other = Client::connect(&url).await.expect("another app's client");
    other.send_text("hello").await.expect("sent");
    assert_eq!(other.text().await.expect("an echo"), "hello");

    drop(open);
    active(&gateway, 1.0).await;
    let mut again = Vec::new();
    for _ in 0..3 {
        again.push(pusher(&gateway).await);
    }
}

#[tokio::test]
async fn new_connections_of_an_app() {
    let gateway = app("connects_per_second = 1\n");
    let mut open = Vec::new();
    let mut up_to_the_rate = async || {
        for _ in 0..ENOUGH {
            let mut client = Client::connect(&gateway.url(PUSHER)).await.expect("upgraded");
            let said = client.json().await.expect("a greeting, or why not");
            if said["event"] == "pusher:error" {
                assert_eq!(said["data"]["code"], 4100);
                assert_eq!(code(&mut client).await, 4100);
                return open.len();
            }
            open.push(client);
        }
        panic!("never refused");
    };
    let before = up_to_the_rate().await;
    assert!(before >= 2, "the burst is twice the rate");
    eventually("a place at the rate", async || (up_to_the_rate().await > before).then_some(()))
        .await;
    active(&gateway, open.len() as f64).await;
}

#[tokio::test]
async fn connections_of_the_gateway() {
    let gateway = own("connections_max = 2\nconnects_per_second_per_address = 1000\n");
    let open = vec![raw(&gateway).await, pusher(&gateway).await.0];
    for target in [RAW, PUSHER] {
        let answer = http::refused_upgrade(gateway.address(), target).await.expect("an answer");
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")));
        assert_eq!(answer.json().expect("problem+json")["code"], "overloaded");
    }
    // The APIs need no place.
    PusherApi::demo(gateway.address()).trigger("room", "tick", "x").await.expect("accepted");
    drop(open);
    active(&gateway, 0.0).await;
    let _open = [raw(&gateway).await, raw(&gateway).await];
}

#[tokio::test]
async fn new_connections_of_the_gateway() {
    let gateway = own("connects_per_second = 1\nconnects_per_second_per_address = 1000\n");
    let answer = first_refused(&gateway).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    eventually("a place at the rate", async || Client::connect(&gateway.url(RAW)).await.ok()).await;
}

#[tokio::test]
async fn connections_of_an_address() {
    let limits = "connections_per_address_max = 2\nconnects_per_second_per_address = 1000\n";
    let gateway = own(limits);
    let open = vec![raw(&gateway).await, pusher(&gateway).await.0];
    for target in [RAW, PUSHER] {
        let answer = http::refused_upgrade(gateway.address(), target).await.expect("an answer");
        assert_eq!((answer.status, answer.header("retry-after")), (429, Some("1")));
    }
    drop(open);
    active(&gateway, 0.0).await;
    let _open = [raw(&gateway).await, raw(&gateway).await];
}

#[tokio::test]
async fn new_connections_of_an_address() {
    let gateway = own("connects_per_second_per_address = 1\n");
    let answer = first_refused(&gateway).await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("1")));
    eventually("a place at the rate", async || Client::connect(&gateway.url(RAW)).await.ok()).await;
}

#[tokio::test]
async fn channels_of_a_connection() {
    let gateway = app("channels_per_connection_max = 2\n");
    let (mut client, _) = pusher(&gateway).await;
    client.subscribe("one", "").await.expect("subscribed");
    client.subscribe("two", "").await.expect("subscribed");
    let third = json!({"event": "pusher:subscribe", "data": {"channel": "three"}});
    client.send_json(&third).await.expect("sent");
    let error = client.event("pusher:subscription_error").await.expect("refused");
    assert_eq!(error["channel"], "three");
    let data = error["data"].as_str().expect("data is a string");
    assert!(data.contains(r#""type":"LimitReached""#), "{data}");
    let leave = json!({"event": "pusher:unsubscribe", "data": {"channel": "one"}});
    client.send_json(&leave).await.expect("sent");
    client.subscribe("three", "").await.expect("the place was given back");

    let url = gateway.url("/a/demo/raw?key=demokey&channel=one&channel=two&channel=three");
    let mut raw = Client::connect(&url).await.expect("upgraded, to be told");
    assert_eq!(code(&mut raw).await, 4429);
}

#[tokio::test]
async fn channels_of_an_app() {
    let gateway = app("channels_max = 2\n");
    let (mut first, _) = pusher(&gateway).await;
    first.subscribe("one", "").await.expect("subscribed");
    first.subscribe("two", "").await.expect("subscribed");
    let (mut second, _) = pusher(&gateway).await;
    second.subscribe("one", "").await.expect("a channel that is there has room");
    let third = json!({"event": "pusher:subscribe", "data": {"channel": "three"}});
    second.send_json(&third).await.expect("sent");
    let error = second.event("pusher:subscription_error").await.expect("refused");
    assert!(error["data"].as_str().expect("data").contains("LimitReached"), "{error}");
    drop(first);
    eventually("its channel is given back", async || {
        second.send_json(&third).await.ok()?;
        let answer = second.json().await.ok()?;
        (answer["event"] == "pusher_internal:subscription_succeeded").then_some(())
    })
    .await;
}

#[tokio::test]
async fn members_of_a_channel() {
    const ROOM: &str = "presence-room";
    let gateway = app("presence_members_max = 2\n");
    let mut tabs = Vec::new();
    for user in ["a", "b", "b"] {
        let (mut tab, id) = pusher(&gateway).await;
        tab.join(&id, ROOM, &member(user)).await.expect("joined");
        tabs.push(tab);
    }
    let (mut third, id) = pusher(&gateway).await;
    let user = member("c").to_string();
    let auth = demo_auth(&format!("{id}:{ROOM}:{user}"));
    let join = json!({"channel": ROOM, "auth": auth, "channel_data": user});
    let join = json!({"event": "pusher:subscribe", "data": join});
    third.send_json(&join).await.expect("sent");
    let error = third.event("pusher:subscription_error").await.expect("refused");
    assert!(error["data"].as_str().expect("data").contains("LimitReached"), "{error}");
    let api = PusherApi::demo(gateway.address());
    assert_eq!(api.users(ROOM).await.expect("users"), ["a", "b"]);
    drop(tabs.remove(0));
    api.wait_for_subscriptions(ROOM, 2).await;
    third.send_json(&join).await.expect("sent");
    third.event("pusher_internal:subscription_succeeded").await.expect("room again");
}

#[tokio::test]
async fn publications_of_a_connection() {
    let gateway = app("publishes_per_second_per_connection = 1\n");
    let mut subscriber = raw(&gateway).await;
    PusherApi::demo(gateway.address()).wait_for_subscriptions("room", 1).await;
    let mut client = publisher(&gateway).await;
    for number in 0..ENOUGH {
        // It may be closed already.
        let _ = client.send_text(&number.to_string()).await;
    }
    assert_eq!(code(&mut client).await, 4429);
    let mut other = publisher(&gateway).await;
    other.send_text("of another").await.expect("sent");
    for number in 0..ENOUGH {
        let text = subscriber.text().await.expect("a message");
        if text == "of another" {
            return assert!(number >= 2, "the burst is twice the rate");
        }
        assert_eq!(text, number.to_string());
    }
    panic!("nothing was refused");
}

#[tokio::test]
async fn publications_of_an_app() {
    let gateway = app("publishes_per_second = 1\n");
    let api = PusherApi::demo(gateway.address());
    let mut accepted = 0;
    let answer = loop {
        assert!(accepted < ENOUGH, "never refused");
        let answer = api.try_trigger("room", "tick", "x").await.expect("an answer");
        if answer.status != 200 {
            break answer;
        }
        accepted += 1;
    };
    assert!(accepted >= 2, "the burst is twice the rate");
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("1")));
    // Clients share the rate with the API.
    let mut client = publisher(&gateway).await;
    for _ in 0..ENOUGH {
        let _ = client.send_text("x").await;
    }
    assert_eq!(code(&mut client).await, 4429);
    eventually("a place at the rate", async || {
        let answer = api.try_trigger("room", "tick", "five").await.ok()?;
        (answer.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn client_events_of_a_connection() {
    const ROOM: &str = "private-room";
    let gateway = app("client_events_per_second = 2\n");
    let mut clients = Vec::new();
    for _ in 0..2 {
        let (mut client, id) = pusher(&gateway).await;
        let auth = demo_auth(&format!("{id}:{ROOM}"));
        client.subscribe(ROOM, &auth).await.expect("subscribed");
        clients.push(client);
    }
    let [sender, receiver] = &mut clients[..] else { unreachable!("two clients") };
    let event = |number: usize| json!({"event": "client-x", "channel": ROOM, "data": number});
    for number in 0..ENOUGH {
        sender.send_json(&event(number)).await.expect("sent");
    }
    sender.send_json(&json!({"event": "pusher:ping"})).await.expect("sent");
    let mut refused = 0;
    loop {
        let said = sender.json().await.expect("an answer");
        if said["event"] == "pusher:pong" {
            break;
        }
        assert_eq!((&said["event"], &said["data"]["code"]), (&json!("pusher:error"), &json!(4301)));
        refused += 1;
    }
    assert!((1..=ENOUGH - 2).contains(&refused), "{refused} were refused");
    for _ in refused..ENOUGH {
        receiver.event("client-x").await.expect("a client event");
    }
    assert!(receiver.is_silent(A_WHILE).await, "what was refused is not delivered");
    // The connection lives on, at its rate.
    eventually("one more passes", async || {
        sender.send_json(&event(4)).await.ok()?;
        if receiver.is_silent(A_WHILE).await { None } else { Some(()) }
    })
    .await;
}

#[tokio::test]
async fn payloads() {
    let gateway = app("payload_bytes_max = \"64B\"\n");
    let mut subscriber = raw(&gateway).await;
    let api = PusherApi::demo(gateway.address());
    api.wait_for_subscriptions("room", 1).await;
    api.trigger("room", "tick", &"x".repeat(64)).await.expect("accepted");
    let answer = api.try_trigger("room", "tick", &"x".repeat(65)).await.expect("an answer");
    assert_eq!(answer.status, 413);
    let mut client = publisher(&gateway).await;
    client.send_text(&"y".repeat(64)).await.expect("sent");
    client.send_text(&"y".repeat(65)).await.expect("sent");
    assert_eq!(code(&mut client).await, 1009);
    assert_eq!(subscriber.text().await.expect("a message"), "x".repeat(64));
    assert_eq!(subscriber.text().await.expect("a message"), "y".repeat(64));
    assert!(subscriber.is_silent(A_WHILE).await, "what is too large is not delivered");
}

#[tokio::test]
async fn frames_of_a_connection() {
    let gateway = own("frames_per_second = 5\nconnects_per_second_per_address = 1000\n");
    let mut client = publisher(&gateway).await;
    for _ in 0..ENOUGH {
        let _ = client.send_text("x").await;
    }
    assert_eq!(code(&mut client).await, 4429);
    let (mut client, _) = pusher(&gateway).await;
    for _ in 0..ENOUGH {
        let _ = client.send_json(&json!({"event": "pusher:pong"})).await;
    }
    assert_eq!(code(&mut client).await, 4100);
    assert_eq!(gateway.metrics().closed("rate_limited"), 2.0);
}

#[tokio::test]
async fn refused_messages_of_a_connection() {
    let gateway = own("errors_max = 3\nconnects_per_second_per_address = 1000\n");
    let (mut client, _) = pusher(&gateway).await;
    for _ in 0..3 {
        client.send_json(&json!({"event": "nonsense"})).await.expect("sent");
        let error = client.event("pusher:error").await.expect("told");
        assert_eq!(error["data"]["code"], json!(null));
    }
    let error = client.event("pusher:error").await.expect("the reason");
    assert_eq!(error["data"]["code"], 4009);
    assert_eq!(code(&mut client).await, 4009);
}

/// A message that is begun and not ended.
#[tokio::test]
async fn time_of_a_message() {
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::protocol::frame::Frame;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
    let gateway = own("message_timeout = \"1s\"\nconnects_per_second_per_address = 1000\n");
    let mut client = publisher(&gateway).await;
    let first = Frame::message("half", OpCode::Data(Data::Text), false);
    client.send(Message::Frame(first)).await.expect("sent");
    assert_eq!(code(&mut client).await, 1008);
}

#[tokio::test]
async fn history_of_an_app() {
    let rule = "pattern = \"*\"\nhistory_size = 100\nhistory_age = \"1h\"";
    let apps = with_limits("history_bytes_max = \"64KiB\"\n");
    let apps = apps.replacen("pattern = \"*\"", rule, 1);
    let gateway = Gateway::start(ROOMY, &apps).expect("a gateway");
    let mut subscriber = raw(&gateway).await;
    let api = PusherApi::demo(gateway.address());
    api.wait_for_subscriptions("room", 1).await;
    // Publishing beyond what is kept is no error, and delivery does not depend on it.
    for _ in 0..20 {
        api.trigger("room", "tick", &"x".repeat(8 * 1024)).await.expect("accepted");
        assert_eq!(subscriber.text().await.expect("a message").len(), 8 * 1024);
    }
}
