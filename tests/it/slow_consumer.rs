//! A subscriber that does not read costs only itself: it is closed and told so, what it holds is
//! bounded, and nobody else loses anything or waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;
use tests::client::PATIENCE;
use tests::{Client, Ledger, Metrics, Process, PusherApi, Receipts, Stamp, eventually};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use crate::apps;

const CHANNEL: &str = "room";
const QUEUE_BYTES: u64 = 32 * 1024;
const PAYLOAD_BYTES: usize = 1024;

fn start(more: &str) -> Process {
    let config = format!(
        "shards = 2\n[shutdown]\nwindow = \"1s\"\n[limits]\nconnects_per_second = 100000\n\
         connects_per_second_per_address = 100000\nconnections_per_address_max = 20000\n\
         frame_bytes_max = \"16KiB\"\nmessage_bytes_max = \"16KiB\"\n{more}"
    );
    Process::start(&config, &apps::roomy(), &[]).expect("a gateway")
}

fn raw_url(process: &Process) -> String {
    format!("ws://{}/a/demo/raw?key=demokey&channel={CHANNEL}", process.address)
}

/// Reads until the close, whose code it gives beside what came before.
async fn read_all(client: &mut Client, name: String) -> (Receipts, Option<u16>) {
    let mut receipts = Receipts::new(name, CHANNEL);
    loop {
        match client.next().await {
            Ok(Message::Text(text)) => {
                if let Some(stamp) = stamp(&text) {
                    receipts.push(stamp);
                }
            }
            Ok(Message::Close(frame)) => return (receipts, frame.map(|frame| frame.code.into())),
            Ok(other) => panic!("neither text nor close: {other:?}"),
            Err(error) => panic!("no close frame: {error}"),
        }
    }
}

/// Of a raw payload, or of the data of a Pusher event; `None` for `pusher:error`.
fn stamp(text: &str) -> Option<Stamp> {
    Stamp::parse(text).or_else(|| {
        let message: Value = serde_json::from_str(text).expect("JSON");
        Stamp::parse(message["data"].as_str()?)
    })
}

fn resident_bytes(process: &Process) -> u64 {
    let path = format!("/proc/{}/statm", process.pid());
    let text = std::fs::read_to_string(path).expect("a running process");
    let pages: u64 = text.split(' ').nth(1).and_then(|n| n.parse().ok()).expect("a number");
    pages * rustix::param::page_size() as u64
}

/// What the healthy subscribers have in common.
#[derive(Default)]
struct Progress {
    delivered: AtomicU64,
    slowest_ms: AtomicU64,
    changed: Notify,
}

async fn read_healthy(
    mut client: Client,
    name: String,
    total: usize,
    (begun, progress): (Instant, Arc<Progress>),
) -> Receipts {
    let mut receipts = Receipts::new(name, CHANNEL);
    while receipts.len() < total {
        let text = client.text().await.expect("a healthy subscriber is served");
        let sent_ms: u64 = text.rsplit('@').next().and_then(|ms| ms.parse().ok()).expect("a time");
        let now = u64::try_from(begun.elapsed().as_millis()).expect("a short test");
        progress.slowest_ms.fetch_max(now - sent_ms, Ordering::Relaxed);
        progress.delivered.fetch_add(1, Ordering::Relaxed);
        progress.changed.notify_one();
        receipts.push(Stamp::parse(&text).expect("a stamp"));
    }
    receipts
}

/// Publishes no faster than the healthy ones read, so that only the slow ones are slow.
async fn publish(
    api: &PusherApi,
    ledger: &mut Ledger,
    (total, healthy): (usize, u64),
    (begun, progress): (Instant, &Progress),
) {
    const AHEAD: u64 = 10;
    for number in 0..total as u64 {
        let due = number.saturating_sub(AHEAD) * healthy;
        let caught_up = async {
            while progress.delivered.load(Ordering::Relaxed) < due {
                progress.changed.notified().await;
            }
        };
        tokio::time::timeout(PATIENCE, caught_up).await.expect("healthy subscribers keep up");
        let stamp = ledger.publish(1, CHANNEL);
        let payload = stamp.payload(PAYLOAD_BYTES);
        let payload = format!("{payload}@{}", begun.elapsed().as_millis());
        api.trigger(CHANNEL, "tick", &payload).await.expect("accepted");
        ledger.acknowledge(stamp);
    }
}

#[tokio::test]
async fn a_stuck_reader_and_slow_ones_among_a_thousand_cost_only_themselves() {
    const HEALTHY: u64 = 900;
    const SLOW: u64 = 100;
    const TOTAL: usize = 120;
    /// An idle machine needs a hundredth of it.
    const DELAY_MS_MAX: u64 = 5_000;
    let process = start("queue_bytes_max = \"32KiB\"\n");
    let url = raw_url(&process);
    let (begun, progress) = (Instant::now(), Arc::new(Progress::default()));
    let mut healthy = JoinSet::new();
    for number in 0..HEALTHY {
        let client = Client::connect(&url).await.expect("a subscriber");
        let name = format!("healthy {number}");
        healthy.spawn(read_healthy(client, name, TOTAL, (begun, Arc::clone(&progress))));
    }
    let mut stuck = Client::connect_narrow(&url).await.expect("a subscriber");
    let mut slow = JoinSet::new();
    let finished = Arc::new(Notify::new());
    for number in 0..SLOW {
        let client = Client::connect_narrow(&url).await.expect("a subscriber");
        slow.spawn(read_slowly(client, number, Arc::clone(&finished)));
    }
    let api = PusherApi::demo(process.address);
    api.wait_for_subscriptions(CHANNEL, HEALTHY + SLOW + 1).await;
    let before = resident_bytes(&process);

    let mut ledger = Ledger::new();
    publish(&api, &mut ledger, (TOTAL, HEALTHY), (begun, &progress)).await;
    let during = resident_bytes(&process);
    for receipts in healthy.join_all().await {
        ledger.record(receipts);
    }
    let (receipts, code) = read_all(&mut stuck, String::from("stuck")).await;
    assert_eq!(code, Some(4201), "the stuck reader finds why when it reads at last");
    assert!(receipts.len() < TOTAL, "it got everything: it was not stuck");
    ledger.record(receipts.closed_early());
    finished.notify_waiters();
    let mut closed = 1.0;
    for (receipts, code) in slow.join_all().await {
        match code {
            Some(code) => {
                assert_eq!(code, 4201);
                closed += 1.0;
                ledger.record(receipts.closed_early());
            }
            None => ledger.record(receipts),
        }
    }
    // Those that did not read at all had no way to stay.
    assert!(closed > SLOW as f64 / 10.0, "only {closed} were closed");
    ledger.judge().assert_clean();
    let slowest = progress.slowest_ms.load(Ordering::Relaxed);
    assert!(slowest < DELAY_MS_MAX, "a healthy subscriber waited {slowest} ms");
    let bound = (SLOW + 1) * (QUEUE_BYTES + PAYLOAD_BYTES as u64) + (16 << 20);
    let grown = during.saturating_sub(before);
    assert!(grown < bound, "grew by {grown} bytes for {SLOW} slow readers, at most {bound}");
    let metrics = Metrics::scrape(process.admin).await.expect("metrics");
    assert_eq!(metrics.closed("slow_consumer"), closed);
}

/// Takes a message now and then; a tenth of them stops altogether. Those who live through it read
/// the rest once publishing has ended.
async fn read_slowly(
    mut client: Client,
    number: u64,
    finished: Arc<Notify>,
) -> (Receipts, Option<u16>) {
    const PAUSE: Duration = Duration::from_millis(50);
    let ended = finished.notified();
    tokio::pin!(ended);
    ended.as_mut().enable();
    let mut receipts = Receipts::new(format!("slow {number}"), CHANNEL);
    let mut is_over = false;
    while receipts.len() < 120 {
        if !is_over {
            // Its slowness, not a way to wait for something.
            is_over = tokio::select! {
                () = ended.as_mut() => true,
                () = tokio::time::sleep(PAUSE), if !number.is_multiple_of(10) => false,
            };
        }
        match client.next().await.expect("a message, or a close frame") {
            Message::Text(text) => receipts.push(stamp(&text).expect("a stamp")),
            Message::Close(frame) => return (receipts, frame.map(|frame| frame.code.into())),
            other => panic!("neither text nor close: {other:?}"),
        }
    }
    (receipts, None)
}

/// A queue that is not full, of which nothing is taken for `stall_timeout`.
#[tokio::test]
async fn who_takes_nothing_for_too_long_is_closed_in_its_dialects_words() {
    let process = start("queue_bytes_max = \"1MiB\"\nstall_timeout = \"1s\"\n");
    let mut raw = Client::connect_narrow(&raw_url(&process)).await.expect("a raw client");
    let url = format!("ws://{}/app/demokey?protocol=7", process.address);
    let mut pusher = Client::connect_narrow(&url).await.expect("a Pusher client");
    pusher.event("pusher:connection_established").await.expect("greeted");
    pusher.subscribe(CHANNEL, "").await.expect("subscribed");
    let api = PusherApi::demo(process.address);
    api.wait_for_subscriptions(CHANNEL, 2).await;
    let mut ledger = Ledger::new();
    for _ in 0..30 {
        let stamp = ledger.publish(1, CHANNEL);
        api.trigger(CHANNEL, "tick", &stamp.payload(8 * 1024)).await.expect("accepted");
    }
    eventually("both are closed", async || {
        let metrics = Metrics::scrape(process.admin).await.ok()?;
        (metrics.closed("slow_consumer") == 2.0).then_some(())
    })
    .await;
    let (_, code) = read_all(&mut raw, String::from("raw")).await;
    assert_eq!(code, Some(4201));
    let (_, code) = read_all(&mut pusher, String::from("pusher")).await;
    assert_eq!(code, Some(4100));
}

/// Who reads again in time is served on, without a gap.
#[tokio::test]
async fn who_reads_again_in_time_has_missed_nothing() {
    let process = start("queue_bytes_max = \"1MiB\"\nstall_timeout = \"30s\"\n");
    let mut client = Client::connect_narrow(&raw_url(&process)).await.expect("a raw client");
    let api = PusherApi::demo(process.address);
    api.wait_for_subscriptions(CHANNEL, 1).await;
    let mut ledger = Ledger::new();
    const TOTAL: usize = 80;
    for _ in 0..TOTAL {
        let stamp = ledger.publish(1, CHANNEL);
        api.trigger(CHANNEL, "tick", &stamp.payload(8 * 1024)).await.expect("accepted");
        ledger.acknowledge(stamp);
    }
    let mut receipts = Receipts::new("late", CHANNEL);
    while receipts.len() < TOTAL {
        let text = client.text().await.expect("a message");
        receipts.push(stamp(&text).expect("a stamp"));
    }
    ledger.record(receipts);
    ledger.judge().assert_clean();
    let metrics = Metrics::scrape(process.admin).await.expect("metrics");
    assert_eq!(metrics.sum("wharf_gateway_message_dropped_total", &[]), 0.0);
}
