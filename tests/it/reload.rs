//! SIGHUP takes up new apps: who still conforms notices nothing, who does not is closed with the
//! reason, and a file with a fault changes nothing.

use std::time::Duration;

use rustix::process::Signal;
use tests::gateway::APPS;
use tests::{Client, Gateway, Metrics, Process, PusherApi, eventually, http};
use tokio::task::JoinSet;

use crate::apps;

const SECOND_KEY: &str = "[[app.key]]\nkey = \"otherkey\"\nsecret = \"other-secret-0123456789\"\n";

fn start(apps: &str) -> Process {
    let config = "shards = 2\n[shutdown]\nwindow = \"1s\"\n[limits]\n\
                  connects_per_second_per_address = 1000\n";
    Process::start(config, apps, &[]).expect("a gateway")
}

/// `demo` with one more key.
fn two_keys() -> String {
    APPS.replacen("[[app.rule]]", &format!("{SECOND_KEY}[[app.rule]]"), 1)
}

fn reload(process: &Process, apps: &str) {
    std::fs::write(process.apps_file(), apps).expect("written");
    process.signal(Signal::HUP).expect("sent");
}

/// One client of each dialect, in `room` by this key.
struct Pair {
    raw: Client,
    pusher: Client,
}

impl Pair {
    async fn open(process: &Process, key: &str) -> Self {
        let address = process.address;
        let url = format!("ws://{address}/a/demo/raw?key={key}&channel=room");
        let raw = Client::connect(&url).await.expect("a raw client");
        let url = format!("ws://{address}/app/{key}?protocol=7");
        let (mut pusher, _) = Client::pusher(&url).await.expect("a Pusher client");
        pusher.subscribe("room", "").await.expect("subscribed");
        Self { raw, pusher }
    }

    /// Both are still served, and nothing else came.
    async fn hear(&mut self, process: &Process, text: &str) {
        let api = PusherApi::demo(process.address);
        api.trigger("room", "tick", text).await.expect("accepted");
        assert_eq!(self.raw.text().await.expect("a message"), text);
        assert_eq!(self.pusher.event("tick").await.expect("a message")["data"], text);
    }

    async fn end(mut self, raw: u16, pusher: u16) {
        let (code, _) = self.raw.closed().await.expect("in time").expect("a close frame");
        assert_eq!(code, raw, "of the raw client");
        let error = self.pusher.event("pusher:error").await.expect("the reason first");
        assert_eq!(error["data"]["code"], pusher);
        let (code, _) = self.pusher.closed().await.expect("in time").expect("a close frame");
        assert_eq!(code, pusher, "of the Pusher client");
    }
}

#[tokio::test]
async fn a_revoked_key_ends_its_own_connections_only() {
    let process = start(&two_keys());
    let mut stays = Pair::open(&process, "demokey").await;
    let goes = Pair::open(&process, "otherkey").await;
    PusherApi::demo(process.address).wait_for_subscriptions("room", 4).await;
    reload(&process, APPS);
    goes.end(4403, 4009).await;
    stays.hear(&process, "still here").await;
    let target = "/a/demo/raw?key=otherkey&channel=room";
    let answer = http::refused_upgrade(process.address, target).await.expect("an answer");
    assert_eq!(answer.status, 401);
    let metrics = Metrics::scrape(process.admin).await.expect("metrics");
    assert_eq!(metrics.closed("key_revoked"), 2.0);
}

#[tokio::test]
async fn a_new_key_and_a_new_app_are_served() {
    let process = start(APPS);
    let mut stays = Pair::open(&process, "demokey").await;
    let third = "\n[[app]]\ncode = \"third\"\napp_id = \"3\"\n[[app.key]]\nkey = \"thirdkey\"\n\
                 secret = \"third-secret-0123456789\"\n";
    reload(&process, &(two_keys() + third));
    let url = format!("ws://{}/app/thirdkey?protocol=7", process.address);
    eventually("the new app is there", async || Client::pusher(&url).await.ok()).await;
    let mut newcomer = Pair::open(&process, "otherkey").await;
    PusherApi::demo(process.address).wait_for_subscriptions("room", 4).await;
    stays.hear(&process, "one").await;
    assert_eq!(newcomer.raw.text().await.expect("a message"), "one");
}

#[tokio::test]
async fn a_disabled_app_ends_its_connections() {
    let process = start(APPS);
    let goes = Pair::open(&process, "demokey").await;
    let url = format!("ws://{}/a/echo/raw?key=echokey", process.address);
    let mut other = Client::connect(&url).await.expect("a client of another app");
    PusherApi::demo(process.address).wait_for_subscriptions("room", 2).await;
    let disabled = APPS.replacen("app_id = \"1\"", "app_id = \"1\"\nstate = \"disabled\"", 1);
    reload(&process, &disabled);
    goes.end(4403, 4003).await;
    other.send_text("mine").await.expect("sent");
    assert_eq!(other.text().await.expect("an echo"), "mine");
    let url = format!("ws://{}/app/demokey?protocol=7", process.address);
    let mut newcomer = Client::connect(&url).await.expect("upgraded, to be told");
    let (code, _) = newcomer.closed().await.expect("in time").expect("a close frame");
    assert_eq!(code, 4003);

    // And back again.
    reload(&process, APPS);
    eventually("the app is back", async || Client::pusher(&url).await.ok()).await;
}

#[tokio::test]
async fn a_removed_app_ends_its_connections() {
    let process = start(APPS);
    let goes = Pair::open(&process, "demokey").await;
    PusherApi::demo(process.address).wait_for_subscriptions("room", 2).await;
    let (_, echo) = APPS.split_once("\n\n").expect("two apps");
    reload(&process, echo);
    goes.end(4403, 4003).await;
}

#[tokio::test]
async fn a_removed_dialect_ends_its_clients_only() {
    let process = start(APPS);
    let Pair { raw, pusher } = Pair::open(&process, "demokey").await;
    let api = PusherApi::demo(process.address);
    api.wait_for_subscriptions("room", 2).await;
    let (mut raw, mut pusher) = (raw, pusher);
    let only = |dialect: &str| {
        let line = format!("app_id = \"1\"\ndialects = [\"{dialect}\"]");
        APPS.replacen("app_id = \"1\"", &line, 1)
    };
    reload(&process, &only("pusher"));
    let (code, _) = raw.closed().await.expect("in time").expect("a close frame");
    assert_eq!(code, 4403);
    api.trigger("room", "tick", "hello").await.expect("accepted");
    assert_eq!(pusher.event("tick").await.expect("a message")["data"], "hello");

    reload(&process, &only("raw"));
    let error = pusher.event("pusher:error").await.expect("the reason first");
    assert_eq!(error["data"]["code"], 4009);
    let (code, _) = pusher.closed().await.expect("in time").expect("a close frame");
    assert_eq!(code, 4009);
}

#[tokio::test]
async fn new_limits_and_rules_hold_for_connections_that_are_there() {
    let process = start(APPS);
    let mut stays = Pair::open(&process, "demokey").await;
    PusherApi::demo(process.address).wait_for_subscriptions("room", 2).await;
    let url = format!("ws://{}/a/demo/raw?key=demokey&publish=room", process.address);
    let mut publisher = Client::connect(&url).await.expect("a publisher");
    publisher.send_text(&"x".repeat(100)).await.expect("sent");
    assert_eq!(stays.raw.text().await.expect("a message").len(), 100);
    stays.pusher.event("message").await.expect("a message");

    // Fewer places than there are connections: nobody is put out, nobody more is let in.
    reload(&process, &apps::with_limits("connections_max = 1\npayload_bytes_max = \"64B\"\n"));
    let url = format!("ws://{}/app/demokey?protocol=7", process.address);
    let code = eventually("newcomers are refused", async || {
        let mut newcomer = Client::connect(&url).await.ok()?;
        let first = newcomer.json().await.ok()?;
        first["data"]["code"].as_u64()
    })
    .await;
    assert_eq!(code, 4004);
    publisher.send_text(&"x".repeat(100)).await.expect("sent");
    let (code, _) = publisher.closed().await.expect("in time").expect("a close frame");
    assert_eq!(code, 1009);
    stays.hear(&process, "still here").await;
}

#[tokio::test]
async fn a_file_with_a_fault_changes_nothing() {
    let process = start(&two_keys());
    let mut stays = Pair::open(&process, "otherkey").await;
    PusherApi::demo(process.address).wait_for_subscriptions("room", 2).await;
    let faults =
        ["[[app]]\ncode = \"demo\"\n", "not TOML", "", &two_keys().replace("otherkey", "")];
    for (number, fault) in faults.iter().enumerate() {
        reload(&process, fault);
        eventually("the reload is counted as refused", async || {
            let metrics = Metrics::scrape(process.admin).await.ok()?;
            let refused = metrics.sum("wharf_gateway_config_rejected_total", &[]);
            (refused == (number + 1) as f64).then_some(())
        })
        .await;
        stays.hear(&process, "still here").await;
    }
    Pair::open(&process, "otherkey").await;
    let answer = http::get(process.admin, "/readyz").await.expect("an answer");
    assert_eq!(answer.status, 200);
}

/// A reload finds some in the middle of their handshake, admitted but not yet seated.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_revoked_during_handshakes_leaves_nobody_in() {
    const ROUNDS: u64 = 12;
    const CLIENTS: usize = 300;
    let gateway = Gateway::start(&apps::shards(2), &two_keys()).expect("a gateway");
    let url = gateway.url("/a/demo/raw?key=otherkey&channel=room");
    for round in 0..ROUNDS {
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let url = url.clone();
            clients.spawn(async move {
                let Ok(mut client) = Client::connect(&url).await else { return };
                let (code, _) = client.closed().await.expect("in time").expect("a close frame");
                assert_eq!(code, 4403);
            });
        }
        // A different cut in each round: nothing is waited for.
        tokio::time::sleep(Duration::from_micros(round * 2_000)).await;
        gateway.apply(APPS).await.expect("applied");
        clients.join_all().await;
        gateway.apply(&two_keys()).await.expect("applied");
    }
}
