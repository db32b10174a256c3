//! N: sockets, time and numbers, and those of H and F that need a gateway of their own: short
//! time-outs, few places, a trusted proxy, TLS, or a process whose memory can be read.

use std::time::Duration;

use tests::{Client, Process};
use tokio::time::Instant;

use super::after::Watch;
use super::row::{Answer, Door, Row, Step, closed, ends, pusher_closed, row, status};
use super::row::{enter, pusher, raw, switched, then};
use super::socket::{Frame, Socket};
use super::wire::{
    CONTINUATION, FIN, Length, TEXT, frame, get, header, ping, text, unmasked, upgrade,
};
use super::{ROOMY, api, signatures};

const RAW: &str = "/a/demo/raw?key=demokey";

/// [`ROOMY`], and what it takes a second to run out of.
fn quick() -> String {
    ROOMY.replace(
        "[limits]",
        "[limits]\nhandshake_timeout = \"1s\"\nmessage_timeout = \"1s\"\nstall_timeout = \"1s\"\n\
         api_body_timeout = \"1s\"\n",
    )
}

/// A gateway on which the next limit is met at once.
fn tight(limits: &str) -> String {
    ROOMY
        .replace("[limits]", &format!("[limits]\n{limits}\n"))
        .replace("connects_per_second_per_address = 100000\n", "")
        .replace("connections_per_address_max = 20000\n", "")
}

pub(super) fn slow_table() -> Vec<Row> {
    let wait = |seconds: f64| Step::Wait(Duration::from_secs_f64(seconds));
    const DRIP: Duration = Duration::from_millis(100);
    let cut = text("hello")[..8].to_vec();
    let mut slow_message = header(Length::Medium, FIN | TEXT, 1_000);
    slow_message.extend([b'x'; 60]);
    vec![
        row("N-01", "nothing is sent", Door::Tcp, vec![wait(0.6), ends()]),
        row("N-01", "half a header", Door::Tcp, {
            vec![Step::Send(b"GET / HTTP/1.1\r\nHost: x\r\nX: ".to_vec()), ends()]
        }),
        row("N-02", "a header byte by byte", Door::Tcp, {
            vec![Step::Dribble(upgrade(RAW).bytes()[..60].to_vec()), ends()]
        }),
        row(
            "N-05",
            "idle after an answer: handshake_timeout on the one port (the catalogue has two)",
            Door::Tcp,
            {
                vec![
                    Step::Send(get("/").bytes()),
                    Step::Answer(status(404).code("not_found")),
                    ends(),
                ]
            },
        ),
        raw("F-16", "one byte of a frame, then silence", vec![FIN | TEXT], closed(1008)),
        pusher("F-16", "one byte of a frame, Pusher", vec![FIN | TEXT], closed(1008)),
        raw("F-17", "a payload cut short, then silence", cut, closed(1008)),
        raw("F-17", "a message never finished", frame(TEXT, "a"), closed(1008)),
        row("F-33", "a message byte by byte", Door::Raw, {
            then(vec![Step::Dribble(slow_message)], closed(1008))
        }),
        row("F-17", "pings between do not stretch it", Door::Raw, {
            let mut steps = vec![Step::Send(frame(TEXT, "a"))];
            steps.extend((0..8).flat_map(|_| [Step::Send(ping("p")), Step::Wait(DRIP)]));
            then(steps, vec![Step::Until { code: 1008, answered: 1..=8 }, ends()])
        }),
        row("P-12", "a body that never comes", Door::Tcp, {
            let answer = status(408).code("bad_message").header("connection", "close");
            vec![Step::Send(api::unfinished()), Step::Answer(answer), ends()]
        }),
        row("P-12", "a body that never comes, Pusher's API", Door::Tcp, {
            let answer = status(408).plain("too slowly").header("connection", "close");
            vec![Step::Send(signatures::unfinished()), Step::Answer(answer), ends()]
        }),
        row("P-13", "a body cut short, then the end, Pusher's API", Door::Tcp, {
            let answer = status(400).plain("ended early").header("connection", "close");
            let sent = Step::Send(signatures::unfinished());
            vec![sent, Step::Finish, Step::Answer(answer), ends()]
        }),
    ]
}

#[tokio::test]
async fn slow_clients_are_cut_in_time() {
    // One second as configured, one of the timers' grain, one for the machine.
    const LATEST: Duration = Duration::from_secs(3);
    let mut watch = Watch::start(&quick()).await.expect("a gateway");
    let rows: Vec<Row> = slow_table().into_iter().map(|row| row.within(LATEST)).collect();
    watch.run(&rows).await;
}

/// F-54: while the answers are not taken reading stops, and what was said waits for a bounded time.
/// What such a client still sends is thrown away up to 128 KiB; beyond it the socket is reset, and
/// the reset may take the close frame with it (settled-gateway 2).
#[tokio::test]
async fn a_client_that_sends_and_never_reads_is_cut() {
    let mut watch = Watch::start(&quick()).await.expect("a gateway");
    let mut socket = Socket::connect(watch.gateway.address()).await.expect("a socket");
    let target = "/a/other/raw?key=otherkey&channel=stuck&publish=stuck";
    enter(&mut socket, &upgrade(target)).await.expect("an upgrade");
    let message = text("x".repeat(32 * 1024));
    let begun = Instant::now();
    while socket.send_only(&message, Duration::from_secs(2)).await {
        assert!(begun.elapsed() < Duration::from_secs(20), "it is read for ever");
        watch.serves_others().await.expect("others are served");
    }
    watch.until_let_go(socket.local.port()).await.expect("the socket is given up");
    assert_eq!(last_words(&mut socket).await.unwrap_or(4201), 4201);
    watch.after().await.expect("nothing is left behind");
}

/// F-54 again: one that is only stuck finds why it was closed when it reads at last.
#[tokio::test]
async fn a_client_that_never_reads_is_closed_as_slow() {
    let mut watch = Watch::start(&quick()).await.expect("a gateway");
    for (target, code) in
        [("/a/other/raw?key=otherkey&channel=m", 4201), ("/app/otherkey?protocol=7", 4100)]
    {
        let mut socket = Socket::connect(watch.gateway.address()).await.expect("a socket");
        enter(&mut socket, &upgrade(target)).await.expect("an upgrade");
        let subscribe = r#"{"event":"pusher:subscribe","data":{"channel":"m"}}"#;
        if code == 4100 {
            socket.send(&text(subscribe)).await.expect("sent");
        }
        let url = watch.gateway.url("/a/other/raw?key=otherkey&publish=m");
        let mut publisher = Client::connect(&url).await.expect("a publisher");
        let begun = Instant::now();
        while watch.holds(socket.local.port()) {
            assert!(begun.elapsed() < Duration::from_secs(20), "{code}: it is waited for for ever");
            publisher.send_text(&"x".repeat(32 * 1024)).await.expect("sent");
            watch.serves_others().await.expect("others are served");
        }
        assert_eq!(last_words(&mut socket).await, Some(code));
        drop((socket, publisher));
        watch.after().await.expect("nothing is left behind");
    }
}

/// The close code that a client finds which reads at last.
async fn last_words(socket: &mut Socket) -> Option<u16> {
    loop {
        match socket.frame().await {
            Ok(Frame::Close(code, _)) => return code,
            Ok(_) => {}
            Err(_) => return None,
        }
    }
}

/// F-41: cut within a second.
#[tokio::test]
async fn a_ping_flood_is_cut() {
    let mut watch = Watch::start(ROOMY).await.expect("a gateway");
    let mut socket = Socket::connect(watch.gateway.address()).await.expect("a socket");
    enter(&mut socket, &upgrade(RAW)).await.expect("an upgrade");
    let pings = ping("flood").repeat(1_000);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(5) {
        if !socket.send_only(&pings, Duration::from_secs(1)).await {
            break;
        }
        watch.serves_others().await.expect("others are served");
    }
    assert!(begun.elapsed() < Duration::from_secs(3), "not cut after {:?}", begun.elapsed());
    drop(socket);
    watch.after().await.expect("nothing is left behind");
}

/// F-53: the client resets the connection while we write to it.
#[tokio::test]
async fn a_reset_while_writing_leaves_nothing_behind() {
    let mut watch = Watch::start(ROOMY).await.expect("a gateway");
    let url = watch.gateway.url("/a/other/raw?key=otherkey&publish=torn");
    let mut publisher = Client::connect(&url).await.expect("a publisher");
    for _ in 0..20 {
        let stream = tokio::net::TcpStream::connect(watch.gateway.address()).await;
        let stream = stream.expect("a socket");
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a linger");
        let local = stream.local_addr().expect("an address");
        let mut socket = Socket::of(stream, local);
        let target = "/a/other/raw?key=otherkey&channel=torn";
        enter(&mut socket, &upgrade(target)).await.expect("an upgrade");
        for _ in 0..20 {
            publisher.send_text(&"x".repeat(8_000)).await.expect("sent");
        }
        drop(socket);
    }
    drop(publisher);
    watch.after().await.expect("nothing is left behind");
}

fn too_many() -> Answer {
    status(429).code("rate_limited").header("connection", "close")
}

/// H-53, H-40: so many from one address, whatever it claims to be.
#[tokio::test]
async fn one_address_connects_at_its_rate() {
    let mut watch = Watch::start(&tight("")).await.expect("a gateway");
    let mut refused = 0;
    for n in 0..60 {
        let mut socket = Socket::connect(watch.gateway.address()).await.expect("a socket");
        let claimed = upgrade(RAW).add("X-Forwarded-For", format!("10.0.0.{n}"));
        socket.send(&claimed.bytes()).await.expect("sent");
        let response = socket.response().await.expect("an answer");
        if response.status == 429 {
            too_many().check(&response).expect("the answer");
            let after: u64 = response.header("retry-after").and_then(|s| s.parse().ok()).unwrap();
            assert!((1..=60).contains(&after), "Retry-After: {after}");
            refused += 1;
        } else {
            switched().check(&response).expect("the answer");
        }
    }
    assert!((10..=21).contains(&refused), "{refused} of 60 refused, 40 at once are allowed");
    watch.after().await.expect("nothing is left behind");
}

/// H-43: of 200 hops only as many are read as configured, from the right.
#[tokio::test]
async fn only_the_configured_hops_are_read() {
    let config = tight("connections_per_address_max = 1").replace(
        "[shutdown]",
        "trusted_proxies = [\"127.0.0.0/8\"]\nforwarded_hops_max = 4\n[shutdown]",
    );
    let mut watch = Watch::start(&config).await.expect("a gateway");
    let mut kept = Vec::new();
    let near = ["203.0.113.1", "203.0.113.2"];
    // The client's own word is at the left; hops that we trust are at the right.
    for (first, hops, expected) in [
        ("198.51.100.1", 200, 429),
        ("198.51.100.2", 200, 429),
        (near[0], 3, 101),
        (near[1], 3, 101),
        (near[0], 3, 429),
        ("198.51.100.3", 4, 429),
    ] {
        let mut socket = Socket::connect(watch.gateway.address()).await.expect("a socket");
        let forwarded = format!("{first}{}", ", 127.0.0.1".repeat(hops));
        let asked = upgrade(RAW).add("X-Forwarded-For", forwarded);
        socket.send(&asked.bytes()).await.expect("sent");
        let response = socket.response().await.expect("an answer");
        // The witness already has the one place of the proxies' own address.
        assert_eq!(response.status, expected, "{first} behind {hops} hops");
        kept.push(socket);
    }
    drop(kept);
    watch.after().await.expect("nothing is left behind");
}

/// H-54 and H-55: no place left in the gateway, and none for the app.
#[tokio::test]
async fn full_gateways_and_full_apps_say_so() {
    let config = ROOMY.replace("[limits]", "[limits]\nconnections_max = 2");
    let mut watch = Watch::start(&config).await.expect("a gateway");
    let full = "/a/full/raw?key=fullkey";
    let mut holder = Socket::connect(watch.gateway.address()).await.expect("a socket");
    enter(&mut holder, &upgrade(full)).await.expect("the second of two");
    let mut refused = Socket::connect(watch.gateway.address()).await.expect("a socket");
    refused.send(&upgrade(RAW).bytes()).await.expect("sent");
    let response = refused.response().await.expect("an answer");
    status(503).code("overloaded").header("retry-after", "5").check(&response).expect("503");
    drop((holder, refused));
    watch.after().await.expect("nothing is left behind");

    let mut watch = Watch::start(ROOMY).await.expect("a gateway");
    let mut holder = Socket::connect(watch.gateway.address()).await.expect("a socket");
    enter(&mut holder, &upgrade(full)).await.expect("the first of one");
    for (target, end) in [(full, closed(4429)), ("/app/fullkey?protocol=7", pusher_closed(4004))] {
        let first = vec![Step::Send(upgrade(target).bytes()), Step::Answer(switched())];
        row("H-55", "the app is full", Door::Tcp, then(first, end))
            .run(&watch)
            .await
            .expect("told after the upgrade");
    }
    drop(holder);
    watch.after().await.expect("nothing is left behind");
}

/// F-27, F-32: what the many cost. The process' memory is read, so it is one of its own.
#[tokio::test]
async fn frames_that_are_never_finished_cost_little() {
    let config = "shards = 2\n[limits]\nmessage_timeout = \"3s\"\nconnects_per_second = 100000\n\
                  connects_per_second_per_address = 100000\nconnections_per_address_max = 20000\n";
    let process = Process::start(config, &super::apps(), &[]).expect("a gateway");
    let mut crowd = Vec::new();
    for _ in 0..200 {
        let mut socket = Socket::connect(process.address).await.expect("a socket");
        enter(&mut socket, &upgrade(RAW)).await.expect("an upgrade");
        crowd.push(socket);
    }
    let before = resident_bytes(process.pid());
    for socket in &mut crowd {
        let claim = header(Length::Long, FIN | TEXT, 65_536);
        assert!(socket.send_only(&claim, Duration::from_secs(2)).await);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let each = resident_bytes(process.pid()).saturating_sub(before) / 200;
    assert!(each <= 64 * 1024, "F-27: {each} B for each claim");
    for socket in &mut crowd {
        let end = socket.frame().await.expect("a close frame");
        assert!(matches!(end, Frame::Close(Some(1008), _)), "F-27: {end:?}");
    }
    drop(crowd);

    let url = format!("ws://{}/a/other/raw?key=otherkey&channel=w&publish=w", process.address);
    let mut witness = Client::connect(&url).await.expect("a witness");
    let pieces = [frame(TEXT, "x"), frame(CONTINUATION, "x").repeat(60_000)].concat();
    let before = resident_bytes(process.pid());
    let mut slowest = Duration::ZERO;
    for _ in 0..100 {
        let mut socket = Socket::connect(process.address).await.expect("a socket");
        enter(&mut socket, &upgrade(RAW)).await.expect("an upgrade");
        socket.send(&pieces).await.expect("sent");
        let end = socket.frame().await.expect("a close frame");
        assert!(matches!(end, Frame::Close(Some(1008), _)), "F-32: {end:?}");
        let begun = Instant::now();
        witness.send_text("w").await.expect("sent");
        assert_eq!(witness.text().await.expect("an echo"), "w");
        slowest = slowest.max(begun.elapsed());
    }
    let grown = resident_bytes(process.pid()).saturating_sub(before);
    assert!(grown <= 16 << 20, "F-32: grew by {grown} B");
    assert!(slowest < Duration::from_secs(1), "F-32: others waited {slowest:?}");
}

fn resident_bytes(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux");
    let kib: usize = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib * 1024
}

pub(super) fn pipelined_table() -> Vec<Row> {
    let asked = get("/nowhere").bytes();
    let answer = || Step::Answer(status(404).code("not_found"));
    let mut steps = vec![Step::Send(asked.repeat(1_000))];
    steps.extend((0..1_000).map(|_| answer()));
    vec![
        row("P-32", "1,000 requests in one write are answered in order", Door::Tcp, steps),
        row("P-32", "an upgrade behind a request: no fault", Door::Tcp, {
            vec![
                Step::Send([asked, upgrade(RAW).bytes()].concat()),
                answer(),
                Step::Answer(switched()),
                Step::Lives,
            ]
        }),
        raw(
            "F-01",
            "a wrong frame behind a good one",
            [ping("good"), unmasked(FIN | TEXT, b"x")].concat(),
            then(vec![Step::Frame(Frame::Pong(b"good".to_vec()))], closed(1002)),
        ),
    ]
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let mut watch = Watch::start(ROOMY).await.expect("a gateway");
    watch.run(&pipelined_table()).await;
}
