//! The admin listener over real sockets.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use prometheus::IntCounter;

use super::*;

fn start_one() -> (Admin, Arc<Health>) {
    let registry = Registry::new();
    let counter = IntCounter::new("wharf_test_total", "A count").expect("a valid name");
    counter.inc_by(3);
    registry.register(Box::new(counter)).expect("the first of its name");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let health = Health::new();
    (start(listener, Arc::clone(&health), registry).expect("admin starts"), health)
}

fn connect(admin: &Admin) -> TcpStream {
    let stream = TcpStream::connect(admin.local_addr()).expect("admin listens");
    stream.set_read_timeout(Some(Duration::from_secs(8))).expect("a time-out");
    stream
}

fn ask(admin: &Admin, request: &str) -> String {
    let mut stream = connect(admin);
    stream.write_all(request.as_bytes()).expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer and the end");
    answer
}

#[track_caller]
fn check(admin: &Admin, path: &str, status: u16, expected: &str) {
    let answer = ask(admin, &format!("GET {path} HTTP/1.1\r\nhost: admin\r\n\r\n"));
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
    assert!(answer.contains(expected), "{path}: {answer}");
}

#[test]
fn readiness_follows_the_life_of_the_process() {
    let (admin, health) = start_one();
    check(&admin, "/readyz", 503, "\r\n\r\nstarting\n");
    health.set_ready();
    check(&admin, "/readyz", 200, "\r\n\r\nready\n");
    health.set_draining("stop requested");
    check(&admin, "/readyz", 503, "\r\n\r\ndraining: stop requested\n");
    health.set_ready();
    check(&admin, "/readyz", 503, "draining");
    check(&admin, "/healthz", 200, "\r\n\r\nok\n");
    admin.stop();
}

#[test]
fn metrics_are_served_as_text() {
    let (admin, _) = start_one();
    check(&admin, "/metrics", 200, "\nwharf_test_total 3\n");
    check(&admin, "/metrics", 200, "content-type: text/plain; version=0.0.4");
}

#[test]
fn what_is_not_there_is_answered_with_what_is() {
    let (admin, _) = start_one();
    check(&admin, "/", 404, "/healthz, /readyz and /metrics");
    let answer = ask(&admin, "POST /metrics HTTP/1.1\r\nhost: admin\r\ncontent-length: 0\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    let large = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(HEADER_BYTES_MAX));
    assert!(ask(&admin, &large).starts_with("HTTP/1.1 431 "));
}

#[test]
fn a_silent_client_is_closed_and_delays_nobody() {
    let (admin, health) = start_one();
    health.set_ready();
    let mut silent = connect(&admin);
    let mut slow = connect(&admin);
    slow.write_all(b"GET /metrics HTTP/1.1\r\nhos").expect("a part of a request");
    check(&admin, "/readyz", 200, "ready");
    for client in [&mut silent, &mut slow] {
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).expect("closed within the header time-out");
    }
}

#[test]
fn a_part_that_stops_beating_is_named_and_recovers() {
    let health = Health::default();
    let (busy, stuck) = (health.register("shard-0"), health.register("shard-1"));
    for _ in 0..5 {
        assert!(health.stuck().is_empty());
        busy.touch();
        health.observe();
    }
    assert_eq!(health.stuck(), ["shard-1"]);
    stuck.touch();
    health.observe();
    assert!(health.stuck().is_empty());
}

#[test]
fn a_part_that_ended_is_forgotten_and_one_that_panicked_is_not() {
    let health = Health::default();
    drop(health.register("ended"));
    let beat = health.register("panicked");
    let thread = std::thread::Builder::new().spawn(move || {
        let _beat = beat;
        panic!("expected by this test");
    });
    assert!(thread.expect("a thread").join().is_err());
    for _ in 0..6 {
        health.observe();
    }
    assert_eq!(health.stuck(), ["panicked"]);
}

#[test]
fn a_stuck_part_fails_liveness() {
    let (admin, health) = start_one();
    let _beat = health.register("shard-7");
    for _ in 0..6 {
        health.observe();
    }
    check(&admin, "/healthz", 503, "\r\n\r\nstuck: shard-7\n");
}

#[test]
fn stop_closes_the_port_in_bounded_time() {
    let (admin, _) = start_one();
    let address = admin.local_addr();
    let idle = connect(&admin);
    let before = tokio::time::Instant::now();
    admin.stop();
    assert!(before.elapsed() < Duration::from_secs(3));
    assert!(TcpStream::connect(address).is_err());
    drop(idle);
}
