//! One order per channel on every shard, each publication at most once, nothing before a
//! subscription's confirmation: what happens at random is held against a model.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tests::{Client, Gateway, Ledger, PusherApi, Random, Receipts, Stamp};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::apps::{self, shards};

const CHANNELS: [&str; 4] = ["room-0", "room-1", "room-2", "room-3"];

/// A Pusher client, and what it got on each channel that it is in.
struct Tab {
    client: Client,
    id: String,
    got: BTreeMap<&'static str, Vec<Stamp>>,
}

impl Tab {
    async fn open(gateway: &Gateway) -> Self {
        let url = gateway.url("/app/demokey?protocol=7");
        let (client, id) = Client::pusher(&url).await.expect("a Pusher client");
        Self { client, id, got: BTreeMap::new() }
    }

    /// Reads up to an event of this name; on the way takes up what came on channels.
    async fn read_to(&mut self, event: &str) -> Value {
        loop {
            let message = self.client.json().await.expect("a message");
            if message["event"] == event {
                return message;
            }
            self.take(&message);
        }
    }

    fn take(&mut self, message: &Value) -> Stamp {
        let channel = message["channel"].as_str().expect("a channel");
        let got = self.got.get_mut(channel).expect("nothing comes on a channel that it is not in");
        let stamp = Stamp::parse(message["data"].as_str().expect("data")).expect("a stamp");
        got.push(stamp);
        stamp
    }

    async fn join(&mut self, channel: &'static str) {
        let data = json!({"channel": channel, "auth": ""});
        let subscribe = json!({"event": "pusher:subscribe", "data": data});
        self.client.send_json(&subscribe).await.expect("sent");
        let confirmed = self.read_to("pusher_internal:subscription_succeeded").await;
        assert_eq!(confirmed["channel"], channel);
        self.got.insert(channel, Vec::new());
    }

    /// Leaves, and gives what was got; after the pong nothing more may come.
    async fn leave(&mut self, channel: &'static str) -> Vec<Stamp> {
        let unsubscribe = json!({"event": "pusher:unsubscribe", "data": {"channel": channel}});
        self.client.send_json(&unsubscribe).await.expect("sent");
        self.client.send_json(&json!({"event": "pusher:ping", "data": {}})).await.expect("sent");
        self.read_to("pusher:pong").await;
        self.got.remove(channel).expect("it was in the channel")
    }
}

/// The model: for each subscription, what was accepted since its confirmation.
#[derive(Default)]
struct Model {
    due: BTreeMap<(usize, &'static str), Vec<Stamp>>,
}

impl Model {
    fn publish(&mut self, channel: &str, stamp: Stamp, excluded: Option<usize>) {
        for ((tab, of), due) in &mut self.due {
            if *of == channel && Some(*tab) != excluded {
                due.push(stamp);
            }
        }
    }
}

/// Each step is accepted before the next begins, so that the model is exact; deliveries lag behind
/// as they like, since tabs read only when it is their turn: all of them are slow readers.
#[tokio::test]
async fn a_random_run_is_what_the_model_says() {
    const STEPS: usize = 1_500;
    const TABS: usize = 14;
    let mut random = Random::from_environment();
    let gateway = Gateway::start(&shards(3), &apps::roomy()).expect("a gateway");
    let api = PusherApi::demo(gateway.address());
    let (mut model, mut tabs, mut ledger) = (Model::default(), Vec::new(), Ledger::new());
    for _ in 0..TABS {
        tabs.push(Tab::open(&gateway).await);
    }
    for _ in 0..STEPS {
        let (tab, channel) = (random.below(TABS), *random.one_of(&CHANNELS));
        let is_in = tabs[tab].got.contains_key(channel);
        match random.below(10) {
            0..3 if is_in => {
                let got = tabs[tab].leave(channel).await;
                let due = model.due.remove(&(tab, channel)).expect("the model knows it");
                // What was still on its way at the time may be missing, from the end.
                assert_eq!(got, due[..got.len()], "{channel} of tab {tab}");
            }
            0..3 => {
                tabs[tab].join(channel).await;
                model.due.insert((tab, channel), Vec::new());
            }
            3 => {
                tabs[tab] = Tab::open(&gateway).await;
                model.due.retain(|(of, _), _| *of != tab);
            }
            4 => tokio::task::yield_now().await,
            5 => {
                let id = tabs[tab].id.clone();
                let stamp = ledger.publish(0, channel);
                publish(&api, channel, stamp, Some(&id)).await;
                model.publish(channel, stamp, Some(tab));
            }
            _ => {
                let stamp = ledger.publish(0, channel);
                publish(&api, channel, stamp, None).await;
                model.publish(channel, stamp, None);
            }
        }
    }
    for (tab, tab_now) in tabs.iter_mut().enumerate() {
        let due: BTreeMap<_, _> =
            model.due.iter().filter(|((of, _), _)| *of == tab).map(|((_, c), d)| (*c, d)).collect();
        let missing = |got: &BTreeMap<&str, Vec<Stamp>>| {
            due.iter().any(|(channel, due)| got[channel].len() < due.len())
        };
        while missing(&tab_now.got) {
            let message = tab_now.client.json().await.expect("what is still due");
            tab_now.take(&message);
        }
        for (channel, due) in due {
            assert_eq!(tab_now.got[channel], *due, "{channel} of tab {tab}");
        }
    }
}

async fn publish(api: &PusherApi, channel: &str, stamp: Stamp, except: Option<&str>) {
    let mut body = json!({"name": "tick", "channel": channel, "data": stamp.payload(60)});
    if let Some(id) = except {
        body["socket_id"] = json!(id);
    }
    let answer = api.send("POST", "/events", &body.to_string()).await.expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.body);
}

/// Publishers of every kind at once, while others come and go: one order for all.
#[tokio::test]
async fn every_subscriber_sees_one_order_while_others_come_and_go() {
    const PUBLISHERS: u32 = 6;
    const EACH: usize = 150;
    const WHOLE: usize = 9;
    const PASSING: usize = 6;
    let gateway = Gateway::start(&shards(4), &apps::roomy()).expect("a gateway");
    let channel = CHANNELS[0];
    let raw = gateway.url(&format!("/a/demo/raw?key=demokey&channel={channel}"));
    let mut readers = JoinSet::new();
    let total = PUBLISHERS as usize * EACH;
    for reader in 0..WHOLE {
        let mut client = Client::connect(&raw).await.expect("a raw subscriber");
        readers.spawn(async move {
            let mut receipts = Receipts::new(format!("raw {reader}"), channel);
            while receipts.len() < total {
                let text = client.text().await.expect("a message");
                receipts.push(Stamp::parse(&text).expect("a stamp"));
            }
            receipts
        });
    }
    for reader in 0..WHOLE {
        let mut tab = Tab::open(&gateway).await;
        tab.join(channel).await;
        readers.spawn(async move {
            let mut receipts = Receipts::new(format!("pusher {reader}"), channel);
            while receipts.len() < total {
                let message = tab.client.json().await.expect("a message");
                receipts.push(tab.take(&message));
            }
            receipts
        });
    }
    let api = PusherApi::demo(gateway.address());
    api.wait_for_subscriptions(channel, 2 * WHOLE as u64).await;

    let ledger = {
        let (stop, stopped) = mpsc::channel::<()>(1);
        let mut passing = JoinSet::new();
        for number in 0..PASSING {
            let tab = Tab::open(&gateway).await;
            passing.spawn(come_and_go(number, tab, channel, stop.clone()));
        }
        drop(stop);
        let mut ledger = publish_all(&gateway, &api, channel, (PUBLISHERS, EACH)).await;
        drop(stopped);
        for receipts in passing.join_all().await.into_iter().flatten() {
            ledger.record(receipts);
        }
        ledger
    };
    let mut ledger = ledger;
    for receipts in readers.join_all().await {
        ledger.record(receipts);
    }
    let verdict = ledger.judge();
    assert_eq!(verdict.acknowledged, total);
    verdict.assert_clean();
}

/// Joins and leaves until told to stop; one record for each stay.
async fn come_and_go(
    number: usize,
    mut tab: Tab,
    channel: &'static str,
    stop: mpsc::Sender<()>,
) -> Vec<Receipts> {
    let mut stays = Vec::new();
    while !stop.is_closed() {
        tab.join(channel).await;
        let got = tab.leave(channel).await;
        let name = format!("passing {number}, stay {}", stays.len());
        let mut receipts = Receipts::new(name, channel).joined_late().closed_early();
        got.into_iter().for_each(|stamp| receipts.push(stamp));
        stays.push(receipts);
    }
    stays
}

/// Publishes from as many raw clients and backends at once; the ledger holds what was accepted.
async fn publish_all(
    gateway: &Gateway,
    api: &PusherApi,
    channel: &'static str,
    (publishers, each): (u32, usize),
) -> Ledger {
    let mut ledger = Ledger::new();
    let mut tasks = JoinSet::new();
    for publisher in 0..publishers {
        let stamps: Vec<_> = (0..each).map(|_| ledger.publish(publisher, channel)).collect();
        let url = gateway.url(&format!("/a/demo/raw?key=demokey&publish={channel}"));
        let api = api.clone();
        tasks.spawn(async move {
            if publisher % 2 == 0 {
                let mut client = Client::connect(&url).await.expect("a raw publisher");
                for stamp in &stamps {
                    client.send_text(&stamp.payload(40)).await.expect("sent");
                }
                // Until everything is in, its connection must stay.
                return (stamps, Some(client));
            }
            for stamp in &stamps {
                publish(&api, channel, *stamp, None).await;
            }
            (stamps, None)
        });
    }
    let mut clients = Vec::new();
    for (stamps, client) in tasks.join_all().await {
        stamps.into_iter().for_each(|stamp| ledger.acknowledge(stamp));
        clients.extend(client);
    }
    // A raw client is not told that it was heard: its own goodbye, answered, says so.
    for mut client in clients {
        client.send(tokio_tungstenite::tungstenite::Message::Close(None)).await.expect("sent");
        client.closed().await.expect("closed in order");
    }
    ledger
}

/// Several channels over one connection: each has its own order and nothing of another's.
#[tokio::test]
async fn channels_do_not_mix() {
    let gateway = Gateway::start(&shards(3), &apps::roomy()).expect("a gateway");
    let api = PusherApi::demo(gateway.address());
    let mut tabs = Vec::new();
    for number in 0..8_usize {
        let mut tab = Tab::open(&gateway).await;
        let channels: BTreeSet<_> = [CHANNELS[number % 4], CHANNELS[(number + 1) % 4]].into();
        for channel in channels {
            tab.join(channel).await;
        }
        tabs.push(tab);
    }
    let mut ledger = Ledger::new();
    for round in 0..40 {
        let channel = CHANNELS[round % 4];
        let stamp = ledger.publish(1, channel);
        publish(&api, channel, stamp, None).await;
        ledger.acknowledge(stamp);
    }
    for (number, tab) in tabs.iter_mut().enumerate() {
        for _ in 0..20 {
            let message = tab.client.json().await.expect("a message");
            tab.take(&message);
        }
        for (channel, got) in &tab.got {
            let mut receipts = Receipts::new(format!("tab {number}"), *channel);
            got.iter().for_each(|stamp| receipts.push(*stamp));
            ledger.record(receipts);
        }
    }
    ledger.judge().assert_clean();
}
