//! SIGTERM: nothing new is accepted, everyone is told to go elsewhere in the words of its dialect,
//! evenly over the window, and the process ends with 0, with or without its clients' help.

use std::time::Duration;

use rustix::process::Signal;
use tests::{Client, Process, PusherApi, eventually, http};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::apps;

/// Beyond the window: last words, telemetry, and a busy machine.
const GRACE: Duration = Duration::from_secs(15);

fn start(window: &str) -> Process {
    let config = format!(
        "shards = 2\n[shutdown]\nwindow = \"{window}\"\n[limits]\nconnects_per_second = 100000\n\
         connects_per_second_per_address = 100000\nconnections_per_address_max = 20000\n"
    );
    Process::start(&config, &apps::roomy(), &[]).expect("a gateway")
}

fn raw_url(process: &Process) -> String {
    format!("ws://{}/a/demo/raw?key=demokey&channel=room", process.address)
}

fn pusher_url(process: &Process) -> String {
    format!("ws://{}/app/demokey?protocol=7", process.address)
}

async fn is_draining(process: &Process) {
    eventually("/readyz says draining", async || {
        let answer = http::get(process.admin, "/readyz").await.ok()?;
        (answer.status == 503 && answer.body.starts_with("draining")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn clients_are_told_to_go_elsewhere_evenly_over_the_window() {
    const EACH: usize = 40;
    const WINDOW: Duration = Duration::from_secs(3);
    let mut process = start("3s");
    let mut raw = Vec::new();
    let mut pusher = Vec::new();
    for _ in 0..EACH {
        raw.push(Client::connect(&raw_url(&process)).await.expect("a raw client"));
        pusher.push(Client::pusher(&pusher_url(&process)).await.expect("a Pusher client").0);
    }
    PusherApi::demo(process.address).wait_for_subscriptions("room", EACH as u64).await;

    process.signal(Signal::TERM).expect("sent");
    let begun = Instant::now();
    let mut closes = JoinSet::new();
    for mut client in raw {
        closes.spawn(async move {
            let (code, _) = client.closed().await.expect("in time").expect("a close frame");
            assert_eq!(code, 1012);
            begun.elapsed()
        });
    }
    for mut client in pusher {
        closes.spawn(async move {
            let error = client.event("pusher:error").await.expect("its dialect's words first");
            assert_eq!(error["data"]["code"], 4200);
            let (code, _) = client.closed().await.expect("in time").expect("a close frame");
            assert_eq!(code, 4200);
            begun.elapsed()
        });
    }
    is_draining(&process).await;
    eventually("nothing new is accepted", async || {
        TcpStream::connect(process.address).await.is_err().then_some(())
    })
    .await;
    assert!(begun.elapsed() < WINDOW, "it went on accepting for {:?}", begun.elapsed());
    let times = closes.join_all().await;
    let within = |part: f64| times.iter().filter(|t| **t < WINDOW.mul_f64(part)).count();
    let (half, all) = (within(0.5), times.len());
    assert!(half <= all * 7 / 10, "{half} of {all} were closed in the first half: {times:?}");
    assert!(half >= all / 10, "only {half} of {all} were closed in the first half: {times:?}");
    let last = times.iter().max().expect("clients");
    assert!(*last < WINDOW + GRACE, "the last one was closed after {last:?}");
    let status = process.wait(GRACE).expect("ended");
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn an_empty_gateway_does_not_wait_for_its_window() {
    let mut process = start("10m");
    // Neither a client that says nothing nor one between requests keeps it.
    let _silent = TcpStream::connect(process.address).await.expect("connected");
    let mut idle = TcpStream::connect(process.address).await.expect("connected");
    let request = "GET /v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut idle, request.as_bytes()).await.expect("sent");
    idle.read_exact(&mut [0; 12]).await.expect("an answer");
    process.signal(Signal::TERM).expect("sent");
    assert_eq!(process.wait(GRACE).expect("ended early").code(), Some(0));
}

#[tokio::test]
async fn clients_that_do_not_listen_do_not_keep_it() {
    let mut process = start("1s");
    let mut stuck = Vec::new();
    for _ in 0..5 {
        stuck.push(Client::connect_narrow(&raw_url(&process)).await.expect("a client"));
    }
    let api = PusherApi::demo(process.address);
    api.wait_for_subscriptions("room", 5).await;
    for _ in 0..20 {
        api.trigger("room", "tick", &"x".repeat(8 * 1024)).await.expect("accepted");
    }
    process.signal(Signal::TERM).expect("sent");
    assert_eq!(process.wait(GRACE).expect("ended at the deadline").code(), Some(0));
    // What they had not read is there, and the reason behind it.
    for mut client in stuck {
        let (code, _) = client.closed().await.expect("in time").expect("a close frame");
        assert_eq!(code, 1012);
    }
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let mut process = start("10m");
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(Client::connect(&raw_url(&process)).await.expect("a client"));
    }
    process.signal(Signal::TERM).expect("sent");
    is_draining(&process).await;
    process.signal(Signal::TERM).expect("sent");
    let status = process.wait(GRACE).expect("ended at once");
    assert_eq!(status.code(), Some(128 + 15));
}

/// What was accepted before the signal is delivered before the close.
#[tokio::test]
async fn what_was_accepted_is_still_delivered() {
    const TOTAL: usize = 200;
    let mut process = start("1s");
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(Client::connect(&raw_url(&process)).await.expect("a client"));
    }
    let api = PusherApi::demo(process.address);
    api.wait_for_subscriptions("room", 20).await;
    for number in 0..TOTAL {
        api.trigger("room", "tick", &number.to_string()).await.expect("accepted");
    }
    process.signal(Signal::TERM).expect("sent");
    for client in &mut clients {
        for number in 0..TOTAL {
            assert_eq!(client.text().await.expect("a message"), number.to_string());
        }
        let (code, _) = client.closed().await.expect("in time").expect("a close frame");
        assert_eq!(code, 1012);
    }
    assert_eq!(process.wait(GRACE).expect("ended").code(), Some(0));
}
