//! Whoever publishes by whatever way, subscribers of every dialect get the payload as settled, in
//! one order per channel on every shard.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use tests::client::{demo_auth, presigned};
use tests::{Client, Gateway, PusherApi, Random, http};
use tokio_tungstenite::tungstenite::Message;

use crate::apps::{self, shards};

const CHANNEL: &str = "private-mix";
const OF_EACH_DIALECT: usize = 8;

/// One publication, by each of the ways in.
#[derive(Clone, Debug)]
enum Way {
    /// `data` of our own API: a JSON text.
    Api(String),
    /// `data_base64` of our own API.
    ApiBinary(Vec<u8>),
    /// `data` of Pusher's API: a string.
    Backend(String),
    /// `data` of a client event: a JSON text.
    ClientEvent(String),
    RawText(String),
    RawBinary(Vec<u8>),
}

/// What a subscriber is to find, decoded. A raw client is told no event.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Said {
    payload: Payload,
    event: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Payload {
    Text(String),
    Binary(Vec<u8>),
}

impl Way {
    fn said(&self) -> Said {
        let (payload, event) = match self {
            Self::Api(json) => (decoded(json), "api"),
            Self::ApiBinary(bytes) => (Payload::Binary(bytes.clone()), "api"),
            Self::Backend(text) => (Payload::Text(text.clone()), "backend"),
            Self::ClientEvent(json) => (decoded(json), "client-said"),
            Self::RawText(text) => (Payload::Text(text.clone()), "message"),
            Self::RawBinary(bytes) => (Payload::Binary(bytes.clone()), "message"),
        };
        Said { payload, event }
    }
}

/// The string where it is one, else the text as it was sent.
fn decoded(json: &str) -> Payload {
    let string: Option<String> = serde_json::from_str(json).ok();
    Payload::Text(string.unwrap_or_else(|| String::from(json.trim())))
}

/// JSON as clients write it: with escapes, spaces and numbers that no two libraries print alike.
fn json_text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        any::<String>().prop_map(|text| json!(text).to_string()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| json!(number).to_string()),
        proptest::sample::select(vec![
            "null",
            "true",
            "-0",
            "1E400",
            "1.0",
            "1.00",
            "1e+2",
            "[]",
            "{}",
            "[ 1 ,\t2 ]",
            r#""\u00e9\ud83d\ude00\/\n""#,
            r#"{"a":1,"a":2}"#,
            r#"{"data":"\"x\""}"#,
        ])
        .prop_map(String::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(" , "))),
            vec((any::<String>(), inner), 0..4).prop_map(|fields| {
                let field = |(name, value): (String, String)| format!("{} : {value}", json!(name));
                format!("{{ {} }}", fields.into_iter().map(field).collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

fn way() -> impl Strategy<Value = Way> {
    let bytes = || vec(any::<u8>(), 0..400);
    prop_oneof![
        json_text().prop_map(Way::Api),
        bytes().prop_map(Way::ApiBinary),
        any::<String>().prop_map(Way::Backend),
        json_text().prop_map(Way::ClientEvent),
        any::<String>().prop_map(Way::RawText),
        bytes().prop_map(Way::RawBinary),
    ]
}

struct Stage {
    api: PusherApi,
    bearer: String,
    raw: Client,
    pusher: Client,
    raw_subscribers: Vec<Client>,
    pusher_subscribers: Vec<Client>,
}

#[test]
fn every_way_in_reaches_every_dialect_unchanged_and_in_one_order() {
    let mut random = Random::from_environment();
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &random.bytes::<32>());
    let config =
        Config { cases: 20, max_shrink_iters: 6, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, rng);
    let key = gateway::auth::bearer::generate(model::Environment::Development);
    let gateway = Gateway::start(&shards(4), &with_api_key(&key)).expect("a gateway");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let outcome = runner.run(&vec(way(), 1..24), |ways| {
        runtime.block_on(async {
            let mut stage = Stage::open(&gateway, key.text.expose()).await;
            stage.check(ways).await
        })
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

fn with_api_key(key: &gateway::auth::bearer::Generated) -> String {
    let hex: String = key.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
    let table = format!("[[app.api_key]]\nkey_id = \"{}\"\nsha256 = \"{hex}\"\n", key.key_id);
    apps::roomy().replacen("[[app.rule]]", &format!("{table}[[app.rule]]"), 1)
}

impl Stage {
    async fn open(gateway: &Gateway, bearer: &str) -> Self {
        let raw = |name| gateway.url(&presigned(&[(name, CHANNEL)]));
        let (mut raw_subscribers, mut pusher_subscribers) = (Vec::new(), Vec::new());
        for _ in 0..OF_EACH_DIALECT {
            raw_subscribers.push(Client::connect(&raw("channel")).await.expect("a subscriber"));
            pusher_subscribers.push(pusher(gateway).await);
        }
        let api = PusherApi::demo(gateway.address());
        let stage = Self {
            raw: Client::connect(&raw("publish")).await.expect("a publisher"),
            pusher: pusher(gateway).await,
            bearer: format!("Bearer {bearer}"),
            raw_subscribers,
            pusher_subscribers,
            api,
        };
        stage.api.wait_for_subscriptions(CHANNEL, 2 * OF_EACH_DIALECT as u64 + 1).await;
        stage
    }

    /// Publishes by all ways at once, each way in its order, and reads what everyone got.
    async fn check(&mut self, ways: Vec<Way>) -> Result<(), TestCaseError> {
        let mut due: Vec<_> = ways.iter().map(Way::said).collect();
        let Self { api, bearer, raw, pusher, .. } = self;
        let (raw_ways, rest): (Vec<_>, Vec<_>) =
            ways.iter().partition(|way| matches!(way, Way::RawText(_) | Way::RawBinary(_)));
        let (events, calls): (Vec<_>, Vec<_>) =
            rest.into_iter().partition(|way| matches!(way, Way::ClientEvent(_)));
        tokio::join!(send_raw(raw, raw_ways), send_events(pusher, events), async {
            for way in calls {
                call(api, bearer, way).await;
            }
        });

        let mut order: Option<Vec<Said>> = None;
        for client in &mut self.pusher_subscribers {
            let mut got = Vec::with_capacity(due.len());
            for _ in &due {
                got.push(read_pusher(client).await);
            }
            let order = order.get_or_insert_with(|| got.clone());
            prop_assert_eq!(&got, order, "two Pusher subscribers saw two orders");
        }
        let mut order = order.expect("there are subscribers");
        let payloads: Vec<_> = order.iter().map(|said| said.payload.clone()).collect();
        for client in &mut self.raw_subscribers {
            let mut got = Vec::with_capacity(due.len());
            for _ in &due {
                got.push(read_raw(client).await);
            }
            prop_assert_eq!(&got, &payloads, "a raw subscriber saw another order or payload");
        }
        order.sort();
        due.sort();
        prop_assert_eq!(order, due, "what arrived is not what was sent");
        Ok(())
    }
}

async fn pusher(gateway: &Gateway) -> Client {
    let url = gateway.url("/app/demokey?protocol=7");
    let (mut client, id) = Client::pusher(&url).await.expect("a Pusher client");
    let auth = demo_auth(&format!("{id}:{CHANNEL}"));
    client.subscribe(CHANNEL, &auth).await.expect("subscribed");
    client
}

async fn send_raw(client: &mut Client, ways: Vec<&Way>) {
    for way in ways {
        let message = match way {
            Way::RawBinary(bytes) => Message::binary(bytes.clone()),
            Way::RawText(text) => Message::text(text.as_str()),
            other => unreachable!("not raw: {other:?}"),
        };
        client.send(message).await.expect("sent");
    }
}

async fn send_events(client: &mut Client, ways: Vec<&Way>) {
    for way in ways {
        let Way::ClientEvent(data) = way else { unreachable!("no client event: {way:?}") };
        let text = format!(r#"{{"event":"client-said","channel":"{CHANNEL}","data": {data} }}"#);
        client.send_text(&text).await.expect("sent");
    }
}

async fn call(api: &PusherApi, bearer: &str, way: &Way) {
    let body = match way {
        Way::Backend(text) => {
            return api.trigger(CHANNEL, "backend", text).await.expect("accepted");
        }
        Way::Api(data) => format!(r#"{{"channel":"{CHANNEL}","event":"api","data": {data} }}"#),
        Way::ApiBinary(bytes) => {
            let data = STANDARD.encode(bytes);
            json!({"channel": CHANNEL, "event": "api", "data_base64": data}).to_string()
        }
        other => unreachable!("no call: {other:?}"),
    };
    let headers = [("Authorization", bearer), ("Content-Type", "application/json")];
    let target = "/v1/apps/demo/publish";
    let answer = http::send(api.address, "POST", target, &headers, body.as_bytes()).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status, 200, "{} for {body}", answer.body);
}

async fn read_raw(client: &mut Client) -> Payload {
    match client.next().await.expect("a message") {
        Message::Text(text) => Payload::Text(text.as_str().to_owned()),
        Message::Binary(bytes) => Payload::Binary(bytes.to_vec()),
        other => panic!("neither text nor binary: {other:?}"),
    }
}

async fn read_pusher(client: &mut Client) -> Said {
    let message = client.json().await.expect("a message");
    assert_eq!(message["channel"], CHANNEL);
    let event = ["api", "backend", "client-said", "message"];
    let event = event.into_iter().find(|event| message["event"] == *event).expect("our event");
    let data = message["data"].as_str().expect("data is always a string");
    let payload = match &message["enc"] {
        Value::Null => Payload::Text(String::from(data)),
        encoding => {
            assert_eq!(encoding, "base64");
            Payload::Binary(STANDARD.decode(data).expect("base64"))
        }
    };
    Said { payload, event }
}
