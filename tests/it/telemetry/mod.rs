//! What a gateway counts is what happened: Prometheus and an OTLP collector, as others ship them,
//! hold the numbers of the ledger; and no collector is missed by clients when it fails.

mod collector;
mod sidecar;

use rustix::process::Signal;
use tests::{Client, Ledger, Process, PusherApi, Receipts, Stamp, eventually, http};
use tokio_tungstenite::tungstenite::Message;

use crate::apps;
use collector::Collector;
use sidecar::{Sidecar, free_port};

const ROOM: &str = "room";
const RAW: u64 = 5;
const PUSHER: u64 = 4;

fn start(variables: &[(&str, &str)]) -> Process {
    let config = "shards = 2\n[shutdown]\nwindow = \"1s\"\n[limits]\n\
                  connects_per_second_per_address = 1000\n";
    Process::start(config, &apps::roomy(), variables).expect("a gateway")
}

/// A run of known numbers. Its clients stay until it is dropped.
struct Run {
    raw: Vec<Client>,
    pusher: Vec<Client>,
    publisher: Client,
    ledger: Ledger,
    delivered: [u64; 2],
}

/// A series as its dots and attributes name it, and its value; `None`: any but 0.
type Series = (&'static str, Vec<(&'static str, &'static str)>, Option<u64>);

impl Run {
    /// Opens, subscribes, publishes by a client and by the backend, and reads it all.
    async fn play(process: &Process) -> Self {
        const BY_CLIENT: usize = 10;
        const BY_BACKEND: usize = 7;
        let address = process.address;
        let (mut raw, mut pusher) = (Vec::new(), Vec::new());
        for _ in 0..RAW {
            let url = format!("ws://{address}/a/demo/raw?key=demokey&channel={ROOM}");
            raw.push(Client::connect(&url).await.expect("a raw client"));
        }
        for _ in 0..PUSHER {
            let url = format!("ws://{address}/app/demokey?protocol=7");
            let (mut client, _) = Client::pusher(&url).await.expect("a Pusher client");
            client.subscribe(ROOM, "").await.expect("subscribed");
            pusher.push(client);
        }
        let api = PusherApi::demo(address);
        api.wait_for_subscriptions(ROOM, RAW + PUSHER).await;
        let url = format!("ws://{address}/a/demo/raw?key=demokey&publish={ROOM}");
        let mut publisher = Client::connect(&url).await.expect("a publisher");
        let mut ledger = Ledger::new();
        for _ in 0..BY_CLIENT {
            let stamp = ledger.publish(1, ROOM);
            publisher.send_text(&stamp.payload(100)).await.expect("sent");
            ledger.acknowledge(stamp);
        }
        for _ in 0..BY_BACKEND {
            let stamp = ledger.publish(2, ROOM);
            api.trigger(ROOM, "tick", &stamp.payload(100)).await.expect("accepted");
            ledger.acknowledge(stamp);
        }
        let mut run = Self { raw, pusher, publisher, ledger, delivered: [0; 2] };
        run.read(BY_CLIENT + BY_BACKEND).await;
        run
    }

    async fn read(&mut self, total: usize) {
        for (number, client) in self.raw.iter_mut().enumerate() {
            let mut receipts = Receipts::new(format!("raw {number}"), ROOM);
            while receipts.len() < total {
                let text = client.text().await.expect("a message");
                receipts.push(Stamp::parse(&text).expect("a stamp"));
            }
            self.delivered[0] += receipts.len() as u64;
            self.ledger.record(receipts);
        }
        for (number, client) in self.pusher.iter_mut().enumerate() {
            let mut receipts = Receipts::new(format!("pusher {number}"), ROOM);
            while receipts.len() < total {
                let message = client.json().await.expect("a message");
                let data = message["data"].as_str().expect("data");
                receipts.push(Stamp::parse(data).expect("a stamp"));
            }
            self.delivered[1] += receipts.len() as u64;
            self.ledger.record(receipts);
        }
        let verdict = self.ledger.judge();
        verdict.assert_clean();
        assert_eq!(verdict.delivered as u64, self.delivered.iter().sum::<u64>());
    }

    /// Two raw clients and a Pusher client say goodbye, one raw client vanishes, one stranger is
    /// not let in.
    async fn part(&mut self, process: &Process) {
        let leaving = self.raw.drain(..2).chain(self.pusher.drain(..1));
        for mut client in leaving.collect::<Vec<_>>() {
            client.send(Message::Close(None)).await.expect("sent");
            client.closed().await.expect("closed in order");
        }
        drop(self.raw.pop());
        let target = "/a/demo/raw?key=nokey&channel=room";
        let answer = http::refused_upgrade(process.address, target).await.expect("an answer");
        assert_eq!(answer.status, 401);
    }

    /// What must have been counted when it has parted.
    fn series(&self) -> Vec<Series> {
        const P: &str = "wharf.protocol";
        let of = |protocol| (P, protocol);
        let closed = "wharf.gateway.connection.closed";
        let received = "wharf.gateway.message.received";
        let publish = ("wharf.operation", "publish");
        let subscribe = ("wharf.operation", "subscribe");
        let (accepted, refused) = (("wharf.outcome", "accepted"), ("wharf.outcome", "refused"));
        let by_client = self.delivered[0] / RAW - 7;
        vec![
            ("wharf.gateway.connection.opened", vec![of("raw")], Some(RAW + 1)),
            ("wharf.gateway.connection.opened", vec![of("pusher")], Some(PUSHER)),
            (closed, vec![of("raw"), ("wharf.reason", "client_closed")], Some(2)),
            (closed, vec![of("pusher"), ("wharf.reason", "client_closed")], Some(1)),
            (closed, vec![of("raw"), ("wharf.reason", "gone")], Some(1)),
            ("wharf.gateway.connection.rejected", vec![("wharf.reason", "unknown_app")], Some(1)),
            ("wharf.gateway.connection.active", vec![of("raw")], Some(RAW + 1 - 3)),
            ("wharf.gateway.connection.active", vec![of("pusher")], Some(PUSHER - 1)),
            ("wharf.gateway.message.delivered", vec![of("raw")], Some(self.delivered[0])),
            ("wharf.gateway.message.delivered", vec![of("pusher")], Some(self.delivered[1])),
            (received, vec![of("raw"), publish, accepted], Some(by_client)),
            (received, vec![of("raw"), publish, refused], Some(0)),
            (received, vec![of("raw"), subscribe, accepted], Some(RAW)),
            (received, vec![of("pusher"), subscribe, accepted], Some(PUSHER)),
            ("wharf.gateway.subscription.active", vec![], Some(RAW + PUSHER - 4)),
            ("wharf.gateway.channel.active", vec![], None),
        ]
    }
}

/// The name and labels that Prometheus knows a series by.
fn selector((name, attributes, _): &Series) -> String {
    let is_gauge = name.ends_with(".active");
    let name = name.replace('.', "_") + if is_gauge { "" } else { "_total" };
    let label = |(key, value): &(&str, &str)| format!("{}=\"{value}\"", key.replace('.', "_"));
    let labels: Vec<_> = attributes.iter().map(label).collect();
    format!("{name}{{{}}}", labels.join(","))
}

#[tokio::test]
async fn prometheus_holds_the_ledgers_numbers() {
    let process = start(&[]);
    let prometheus = sidecar::prometheus(process.admin);
    let mut run = Run::play(&process).await;
    run.part(&process).await;
    for series in run.series() {
        let query = format!("sum({})", selector(&series));
        eventually(&format!("{query} is {:?}", series.2), async || {
            let value = prometheus.query(&query).await?;
            let is_it = series.2.map_or(value > 0.0, |expected| value == expected as f64);
            is_it.then_some(())
        })
        .await;
    }
    // Nothing counts on by itself.
    let opened = "sum(wharf_gateway_connection_opened_total)";
    assert_eq!(prometheus.query(opened).await, Some((RAW + 1 + PUSHER) as f64));
    for direction in ["receive", "transmit"] {
        let label = format!("{{wharf_direction=\"{direction}\"}}");
        let query = format!("sum(wharf_gateway_network_io_bytes_total{label})");
        let bytes = prometheus.query(&query).await.expect("the series");
        // Each publication has 100 bytes of payload; clients sent ten of them.
        let least = if direction == "transmit" { run.ledger.acknowledged() * 900 } else { 1_000 };
        assert!(bytes > least as f64, "{bytes} bytes of {direction}");
    }
    let query = "sum(wharf_gateway_handshake_duration_seconds_count{wharf_outcome=\"accepted\"})";
    assert_eq!(prometheus.query(query).await, Some((RAW + 1 + PUSHER) as f64));
    assert!(run.publisher.is_silent(std::time::Duration::ZERO).await, "it is still open");
}

#[tokio::test]
async fn a_collector_gets_the_same_numbers_and_the_handshakes_spans() {
    let collector = Collector::start();
    let process = start(&collector.variables());
    let mut run = Run::play(&process).await;
    run.part(&process).await;
    for series in run.series() {
        let (name, attributes, expected) = &series;
        eventually(&format!("{name} {attributes:?} is {expected:?}"), async || {
            let value = collector.metric(name, attributes)?;
            expected.map_or(value > 0, |expected| value == expected).then_some(())
        })
        .await;
    }
    let handshakes = usize::try_from(RAW + 1 + PUSHER).expect("few");
    eventually("a span for each handshake", async || {
        let accepted = collector.spans("connect", "wharf.outcome: Str(accepted)");
        let refused = collector.spans("connect", "wharf.outcome: Str(unauthorized)");
        (accepted == handshakes && refused == 1).then_some(())
    })
    .await;
    drop(run);
}

/// Nobody listens at the endpoint, or somebody who takes nothing.
#[tokio::test]
async fn a_collector_that_fails_changes_nothing_for_clients() {
    let dead = format!("http://127.0.0.1:{}", free_port());
    let mut process = start(&collector::variables(&dead));
    Run::play(&process).await.part(&process).await;
    process.signal(Signal::TERM).expect("sent");
    let status = process.wait(tests::client::PATIENCE).expect("ended");
    assert_eq!(status.code(), Some(0));

    let collector = Collector::start();
    let mut process = start(&collector.variables());
    let mut before = Run::play(&process).await;
    eventually("the collector is heard", async || {
        collector.metric("wharf.gateway.message.delivered", &[("wharf.protocol", "raw")])
    })
    .await;
    collector.pause();
    before.part(&process).await;
    drop(before);
    PusherApi::demo(process.address).wait_for_subscriptions(ROOM, 0).await;
    Run::play(&process).await.part(&process).await;
    let answer = http::get(process.admin, "/readyz").await.expect("an answer");
    assert_eq!(answer.status, 200);
    process.signal(Signal::TERM).expect("sent");
    let status = process.wait(tests::client::PATIENCE).expect("ended");
    assert_eq!(status.code(), Some(0));
}

impl Sidecar {
    /// The one value of a PromQL query; `None` until there is one.
    async fn query(&self, query: &str) -> Option<f64> {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let target = format!("/api/v1/query?query={encoded}");
        let answer = http::get(self.address, &target).await.ok()?.json().ok()?;
        answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    }
}
