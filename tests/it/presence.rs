//! Presence by distinct user: the first of a user's connections comes, the last one leaves, whatever
//! happens between, and every observer is told the same edges in the same order.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tests::pusher_api::member;
use tests::{Client, Gateway, PusherApi, Random, eventually};

use crate::apps::{self, shards};

const CHANNEL: &str = "presence-room";

/// What observers are told: who came (`+`) or left (`-`).
type Edge = (char, String);

fn edge(message: &Value) -> Edge {
    let sign = match message["event"].as_str().expect("an event") {
        "pusher_internal:member_added" => '+',
        "pusher_internal:member_removed" => '-',
        other => panic!("unexpected {other}"),
    };
    let data: Value =
        serde_json::from_str(message["data"].as_str().expect("data")).expect("JSON in data");
    (sign, String::from(data["user_id"].as_str().expect("user_id")))
}

fn members(confirmed: &Value) -> BTreeSet<String> {
    let data: Value =
        serde_json::from_str(confirmed["data"].as_str().expect("data")).expect("JSON in data");
    let ids = data["presence"]["ids"].as_array().expect("ids");
    let set: BTreeSet<_> = ids.iter().map(|id| String::from(id.as_str().expect("text"))).collect();
    assert_eq!(data["presence"]["count"], set.len());
    set
}

/// Tabs of a few users come, leave and vanish at random. Each step ends before the next begins.
#[tokio::test]
async fn edges_are_those_of_the_model() {
    const STEPS: usize = 400;
    const USERS: usize = 4;
    let mut random = Random::from_environment();
    let gateway = Gateway::start(&shards(3), &apps::roomy()).expect("a gateway");
    let api = PusherApi::demo(gateway.address());
    let url = gateway.url("/app/demokey?protocol=7");
    let mut observers = Vec::new();
    let mut edges: Vec<Edge> = Vec::new();
    for number in 0..6 {
        let (mut client, id) = Client::pusher(&url).await.expect("an observer");
        let user = format!("observer-{number}");
        client.join(&id, CHANNEL, &member(&user)).await.expect("joined");
        observers.push((client, edges.len() + 1));
        edges.push(('+', user));
    }
    let mut open: BTreeMap<usize, Vec<Client>> = (0..USERS).map(|user| (user, vec![])).collect();
    for _ in 0..STEPS {
        let user = random.below(USERS);
        let name = format!("user-{user}");
        let tabs = open.get_mut(&user).expect("every user is there");
        if tabs.is_empty() || (random.below(2) == 0 && tabs.len() < 4) {
            let (mut tab, id) = Client::pusher(&url).await.expect("a tab");
            let confirmed = tab.join(&id, CHANNEL, &member(&name)).await.expect("joined");
            if tabs.is_empty() {
                edges.push(('+', name.clone()));
            }
            tabs.push(tab);
            let present = open.iter().filter(|(_, tabs)| !tabs.is_empty());
            let mut expected: BTreeSet<_> =
                present.map(|(user, _)| format!("user-{user}")).collect();
            expected.extend((0..observers.len()).map(|number| format!("observer-{number}")));
            assert_eq!(members(&confirmed), expected);
        } else {
            let at = random.below(tabs.len());
            leave(tabs.remove(at), &mut random, &api).await;
            if tabs.is_empty() {
                edges.push(('-', name));
            }
        }
    }
    for (client, seen) in &mut observers {
        for expected in &edges[*seen..] {
            assert_eq!(edge(&client.json().await.expect("an edge")), *expected);
        }
        assert!(client.is_silent(std::time::Duration::from_millis(50)).await, "one edge too many");
    }
}

/// Says so, says goodbye, or just vanishes; returns when the gateway has noticed.
async fn leave(mut tab: Client, random: &mut Random, api: &PusherApi) {
    let before = api.subscriptions(CHANNEL).await.expect("a count");
    match random.below(3) {
        0 => {
            let unsubscribe =
                serde_json::json!({"event": "pusher:unsubscribe", "data": {"channel": CHANNEL}});
            tab.send_json(&unsubscribe).await.expect("sent");
        }
        1 => {
            let goodbye = tokio_tungstenite::tungstenite::Message::Close(None);
            tab.send(goodbye).await.expect("sent");
            tab.closed().await.expect("closed in order");
        }
        _ => {
            drop(tab);
            return api.wait_for_subscriptions(CHANNEL, before - 1).await;
        }
    }
    // The connection itself is still there.
    api.wait_for_subscriptions(CHANNEL, before - 1).await;
}

/// Two tabs of one user on different shards race to come and to leave: one edge each way.
#[tokio::test]
async fn racing_tabs_of_one_user_are_one_member() {
    let gateway = Gateway::start(&shards(4), &apps::roomy()).expect("a gateway");
    let api = PusherApi::demo(gateway.address());
    let url = gateway.url("/app/demokey?protocol=7");
    let (mut observer, id) = Client::pusher(&url).await.expect("an observer");
    observer.join(&id, CHANNEL, &member("observer")).await.expect("joined");
    for round in 0..30 {
        let user = format!("user-{round}");
        let mut tabs = tokio::task::JoinSet::new();
        for _ in 0..6 {
            let (url, user) = (url.clone(), user.clone());
            tabs.spawn(async move {
                let (mut tab, id) = Client::pusher(&url).await.expect("a tab");
                tab.join(&id, CHANNEL, &member(&user)).await.expect("joined");
                tab
            });
        }
        drop(tabs.join_all().await);
        for sign in ['+', '-'] {
            let told = edge(&observer.json().await.expect("an edge"));
            assert_eq!(told, (sign, user.clone()));
        }
    }
    api.wait_for_subscriptions(CHANNEL, 1).await;
    assert_eq!(api.users(CHANNEL).await.expect("users"), ["observer"]);
    eventually("only the observer is connected", async || {
        (gateway.metrics().active() == 1.0).then_some(())
    })
    .await;
}
