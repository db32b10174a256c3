//! A panic while one connection is served ends that connection, is counted, and leaves nothing
//! behind. The broker of these gateways has the bug.

use std::sync::Arc;

use async_trait::async_trait;
use broker::{Broker, DeliverySink, Error, Joined, Joiner, Keep, Leaver};
use model::{AppId, ChannelKey, ChannelState, HistoryPage, Member, Position, Publication};
use serde_json::json;
use tests::pusher_api::member;
use tests::{Client, Gateway, PusherApi, eventually};

use crate::apps::{self, shards};

/// The broker of one process, but for two channels.
#[derive(Debug)]
struct Faulty(broker::memory::Memory);

impl Faulty {
    fn start(sink: Arc<dyn DeliverySink>) -> Arc<dyn Broker> {
        Arc::new(Self(broker::memory::Memory::new(sink)))
    }
}

#[async_trait]
impl Broker for Faulty {
    async fn join(&self, channel: &ChannelKey, joiner: Joiner) -> Result<Joined, Error> {
        assert_ne!(channel.channel.as_str(), "boom-join", "the bug of this test");
        self.0.join(channel, joiner).await
    }

    fn leave(&self, channel: &ChannelKey, leaver: &Leaver) {
        self.0.leave(channel, leaver);
    }

    async fn publish(
        &self,
        channel: &ChannelKey,
        publication: Publication,
        keep: Keep,
    ) -> Result<Option<Position>, Error> {
        assert_ne!(channel.channel.as_str(), "boom", "the bug of this test");
        self.0.publish(channel, publication, keep).await
    }

    async fn history(
        &self,
        channel: &ChannelKey,
        since: Option<Position>,
        limit: usize,
    ) -> Result<HistoryPage, Error> {
        self.0.history(channel, since, limit).await
    }

    async fn channel(&self, channel: &ChannelKey) -> Result<ChannelState, Error> {
        self.0.channel(channel).await
    }

    async fn members(&self, channel: &ChannelKey) -> Result<Vec<Member>, Error> {
        self.0.members(channel).await
    }

    async fn channels(
        &self,
        app: AppId,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<ChannelState>, Error> {
        self.0.channels(app, prefix, limit).await
    }

    fn sweep(&self) {
        self.0.sweep();
    }
}

fn start(shard_count: usize) -> Gateway {
    let apps = apps::roomy().replacen("[app.limits]\n", "[app.limits]\nchannels_max = 4\n", 1);
    let change = |parts: &mut gateway::Parts| parts.broker = Some(Faulty::start);
    Gateway::start_with(&shards(shard_count), &apps, change).expect("a gateway")
}

#[tokio::test]
async fn a_panic_ends_one_connection_and_leaves_nothing_behind() {
    const ROOM: &str = "presence-room";
    const ROUNDS: usize = 6;
    // One shard, so that everyone sits beside the panic.
    let gateway = start(1);
    let api = PusherApi::demo(gateway.address());
    let url = gateway.url("/app/demokey?protocol=7");
    let (mut bystander, id) = Client::pusher(&url).await.expect("a bystander");
    bystander.join(&id, ROOM, &member("bystander")).await.expect("joined");
    for round in 0..ROUNDS {
        // A member of the room, in a channel of its own, and then it publishes where it must not.
        let (mut victim, id) = Client::pusher(&url).await.expect("a victim");
        let user = format!("victim-{round}");
        victim.join(&id, ROOM, &member(&user)).await.expect("joined");
        bystander.event("pusher_internal:member_added").await.expect("told");
        victim.subscribe(&format!("own-{round}"), "").await.expect("a channel has room");
        let data = json!({"channel": "boom-join"});
        victim.send_json(&json!({"event": "pusher:subscribe", "data": data})).await.expect("sent");
        let (code, _) = victim.closed().await.expect("in time").expect("a close frame");
        assert_eq!(code, 1011);
        let gone = bystander.event("pusher_internal:member_removed").await.expect("told");
        assert!(gone["data"].as_str().expect("data").contains(&user));

        let url = gateway.url("/a/demo/raw?key=demokey&channel=room&publish=boom");
        let mut victim = Client::connect(&url).await.expect("a raw victim");
        victim.send_text("boom").await.expect("sent");
        let (code, _) = victim.closed().await.expect("in time").expect("a close frame");
        assert_eq!(code, 1011);
    }
    eventually("everything is as before", async || {
        let metrics = gateway.metrics();
        let subscriptions = metrics.sum("wharf_gateway_subscription_active", &[]);
        let channels = metrics.sum("wharf_gateway_channel_active", &[]);
        (metrics.active() == 1.0 && subscriptions == 1.0 && channels == 1.0).then_some(())
    })
    .await;
    assert_eq!(gateway.metrics().closed("internal"), 2.0 * ROUNDS as f64);
    assert_eq!(api.channels().await.expect("channels"), [ROOM]);
    assert_eq!(api.users(ROOM).await.expect("users"), ["bystander"]);
    assert!(gateway.health.stuck().is_empty(), "the shard lives");
    api.trigger(ROOM, "tick", "hello").await.expect("accepted");
    assert_eq!(bystander.event("tick").await.expect("a message")["data"], "hello");
}

/// A panic while an API call is carried out ends that call only.
#[tokio::test]
async fn a_panic_in_a_call_ends_that_call() {
    let gateway = start(1);
    let api = PusherApi::demo(gateway.address());
    let url = gateway.url("/a/demo/raw?key=demokey&channel=room");
    let mut bystander = Client::connect(&url).await.expect("a bystander");
    api.wait_for_subscriptions("room", 1).await;
    for _ in 0..3 {
        let answer = api.try_trigger("boom", "tick", "x").await.expect("an answer");
        // What became of it is unknown: never an acknowledgement.
        assert_eq!(answer.status, 503);
    }
    api.trigger("room", "tick", "hello").await.expect("accepted");
    assert_eq!(bystander.text().await.expect("a message"), "hello");
}

/// Counting needs the process's panic hook, which would swallow the reports of other tests: so this
/// one runs itself again in a process of its own.
#[test]
fn a_panic_is_counted() {
    const ALONE: &str = "WHARF_TEST_ALONE";
    if std::env::var_os(ALONE).is_none() {
        let test = std::env::current_exe().expect("this test");
        let run = std::process::Command::new(test)
            .args(["panics::a_panic_is_counted", "--exact", "--nocapture"])
            .env(ALONE, "1")
            .output()
            .expect("started");
        let said = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success(), "{said}{}", String::from_utf8_lossy(&run.stderr));
        return assert!(said.contains("1 passed"), "{said}");
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let config = runtime::telemetry::Config::default();
        let telemetry = runtime::telemetry::Telemetry::start("test", "0", &config);
        let telemetry = telemetry.expect("telemetry");
        let gateway = start(1);
        let before = runtime::telemetry::panics();
        let url = gateway.url("/a/demo/raw?key=demokey&publish=boom");
        let mut victim = Client::connect(&url).await.expect("a victim");
        victim.send_text("boom").await.expect("sent");
        victim.closed().await.expect("in time");
        assert_eq!(runtime::telemetry::panics(), before + 1);
        let count = telemetry.registry().gather();
        let count = count.iter().find(|family| family.name() == "wharf_panic_count_total");
        let count = count.expect("the series").get_metric()[0].get_counter().get_value();
        assert_eq!(count, (before + 1) as f64);
    });
}
