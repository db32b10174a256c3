//! The parts that a measurement rests on: frames, stamps, dialects, and when to say nothing.

use std::num::NonZeroU32;

use clap::Parser;

use super::{
    args::{self, Dialect, Publish, Target},
    endpoint::{self, Endpoint, Role, Step},
    frame::{self, Event, Partial, Violation},
    stamp::{Arrival, Class, Order, Stamp},
};

#[derive(Debug, Parser)]
struct Command {
    #[command(flatten)]
    bench: super::Args,
}

#[derive(Debug, Parser)]
struct OnlyTarget {
    #[command(flatten)]
    target: Target,
}

/// Feeds `bytes` in pieces of `piece` and writes down what comes out.
fn events(bytes: &[u8], piece: usize) -> Result<Vec<String>, Violation> {
    let mut partial: Option<Box<Partial>> = None;
    let mut seen = Vec::new();
    for chunk in bytes.chunks(piece) {
        frame::scan(&mut partial, chunk, |event| {
            seen.push(match event {
                Event::Message(payload) if payload.len() > 20 => {
                    format!("message of {}", payload.len())
                }
                Event::Message(payload) => {
                    format!("message {}", String::from_utf8_lossy(payload))
                }
                Event::Ping(payload) => format!("ping {}", String::from_utf8_lossy(payload)),
                Event::Pong => "pong".to_owned(),
                Event::Close(code) => format!("close {code}"),
            });
        })?;
    }
    assert!(partial.is_none(), "nothing is kept at a boundary");
    Ok(seen)
}

/// The same events, however the bytes are cut.
fn check_scan(bytes: &[u8], expected: &[&str]) {
    for piece in [1, 2, 3, 7, bytes.len()] {
        assert_eq!(events(bytes, piece).unwrap(), expected, "in pieces of {piece}");
    }
}

#[test]
fn frames_are_found_however_they_are_cut() {
    check_scan(b"\x81\x02hi", &["message hi"]);
    check_scan(b"\x81\x00", &["message "]);
    check_scan(b"\x82\x03abc\x81\x01d", &["message abc", "message d"]);
    check_scan(b"\x89\x02yo\x8a\x00", &["ping yo", "pong"]);
}

#[test]
fn long_lengths_are_read() {
    for (length, header) in [
        (126, b"\x81\x7e\x00\x7e".to_vec()),
        (65_535, b"\x81\x7e\xff\xff".to_vec()),
        (65_536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00".to_vec()),
    ] {
        assert_eq!(header.len() + length, frame::server_frame_bytes(length));
        let bytes = [header, vec![b'x'; length]].concat();
        for piece in [length / 3 + 1, bytes.len()] {
            assert_eq!(events(&bytes, piece).unwrap(), [format!("message of {length}")]);
        }
    }
}

#[test]
fn fragments_are_joined_around_control_frames() {
    check_scan(b"\x01\x02ab\x89\x01p\x00\x01c\x80\x01d", &["ping p", "message abcd"]);
}

#[test]
fn a_close_is_told_with_its_code() {
    check_scan(b"\x88\x02\x03\xf4", &["close 1012"]);
    check_scan(b"\x88\x00", &["close 1005"]);
    check_scan(b"\x88\x06\x11\x93slow", &["close 4499"]);
}

#[test]
fn nonsense_is_refused() {
    for (bytes, violation) in [
        (&b"\x81\x81"[..], Violation::Masked),
        (b"\xc1\x00", Violation::ReservedBits),
        (b"\x83\x00", Violation::Opcode),
        (b"\x09\x00", Violation::Control),
        (b"\x80\x00", Violation::Fragment),
        (b"\x01\x00\x81\x00", Violation::Fragment),
        (b"\x82\x7f\x00\x00\x00\x01\x00\x00\x00\x00", Violation::TooLarge),
    ] {
        assert_eq!(events(bytes, bytes.len()).unwrap_err(), violation);
    }
}

#[test]
fn what_a_client_sends_is_masked() {
    let unmask = |frame: &[u8], header: usize| -> Vec<u8> {
        let mask = &frame[header..header + 4];
        frame[header + 4..].iter().zip(mask.iter().cycle()).map(|(a, b)| a ^ b).collect()
    };
    let mut out = Vec::new();
    frame::encode_text(&mut out, b"hello", 0x0102_0304);
    assert_eq!(out[..6], [0x81, 0x85, 1, 2, 3, 4]);
    assert_eq!(unmask(&out, 2), b"hello");
    out.clear();
    frame::encode_text(&mut out, &[7; 300], 0x0102_0304);
    assert_eq!(out[..4], [0x81, 0xfe, 1, 44]);
    assert_eq!(unmask(&out, 4), [7; 300]);
    out.clear();
    frame::encode_pong(&mut out, b"yo", 0);
    assert_eq!(out, b"\x8a\x82\0\0\0\0yo");
}

#[test]
fn a_stamp_survives_any_envelope() {
    let stamp = Stamp::new(Class::Echo, 77, 123_456_789_012);
    let mut payload = vec![b'x'; 40];
    stamp.write(&mut payload);
    assert_eq!(payload, b"wb:020000000000004d0000001cbe991a14xxxxx");
    let envelope =
        format!(r#"{{"event":"e","data":"{}"}}"#, String::from_utf8(payload.clone()).unwrap());
    assert_eq!(Stamp::find(&payload), Some(stamp));
    assert_eq!(Stamp::find(envelope.as_bytes()), Some(stamp));
    assert_eq!(Stamp::find(b"no stamp"), None);
    assert_eq!(Stamp::find(b"wb:0200"), None);
}

#[test]
fn order_tells_late_from_repeated() {
    use Arrival::{Duplicate, InOrder, OutOfOrder};
    let mut order = Order::default();
    let seen = [1, 2, 5, 4, 4, 5, 3, 200, 199, 200, 5].map(|sequence| order.note(sequence));
    assert_eq!(
        seen,
        [
            InOrder, InOrder, InOrder, OutOfOrder, Duplicate, Duplicate, OutOfOrder, InOrder,
            OutOfOrder, Duplicate, OutOfOrder
        ]
    );
}

fn target(arguments: &[&str]) -> Target {
    OnlyTarget::try_parse_from([&["bench"], arguments].concat()).unwrap().target
}

fn request(arguments: &[&str], role: Role) -> String {
    let endpoint = Endpoint::try_new(&target(arguments)).unwrap();
    let request = String::from_utf8(endpoint.upgrade(role, 7)).unwrap();
    request.split(' ').nth(1).unwrap().to_owned()
}

#[test]
fn every_role_asks_for_its_own_resource() {
    let raw = ["--gateway", "ws://127.0.0.1:8080", "--app", "demo", "--key", "k"];
    for (role, resource) in [
        (Role::Subscriber, "/a/demo/raw?key=k&channel=bench"),
        (Role::Publisher, "/a/demo/raw?key=k&channel=bench&publish=bench&self=0"),
        (Role::Echo, "/a/demo/raw?key=k&channel=bench%2Decho%2D7&publish=bench%2Decho%2D7"),
    ] {
        assert_eq!(request(&raw, role), resource);
    }
    let plain = ["--dialect", "plain", "--url", "ws://127.0.0.1:9/{role}?c={channel}&n={n}"];
    assert_eq!(request(&plain, Role::Publisher), "/pub?c=bench&n=7");
    assert_eq!(request(&plain, Role::Stuck), "/sub?c=bench&n=7");
}

#[test]
fn a_target_that_cannot_work_is_refused() {
    for (arguments, reason) in [
        (&["--gateway", "wss://127.0.0.1"][..], "TLS is not measured"),
        (&["--gateway", "127.0.0.1:80"], "does not start with ws://"),
        (&["--gateway", "ws://127.0.0.1:80/x"], "takes no path"),
        (&["--gateway", "ws://127.0.0.1:80", "--dialect", "plain"], "needs --url"),
        (&["--gateway", "ws://127.0.0.1:80"], "needs --app CODE"),
        (&["--gateway", "ws://127.0.0.1:80", "--app", "demo"], "needs --key KEY"),
        (&["--gateway", "ws://127.0.0.1:80", "--dialect", "pusher"], "needs --key KEY"),
        (&["--url", "ws://127.0.0.1:80", "--dialect", "pusher"], "need --secret"),
        (&["--url", "ws://127.0.0.1:80", "--dialect", "pusher", "--secret", "s"], "--key KEY"),
        (
            &["--url", "ws://127.0.0.1:80", "--dialect", "pusher", "--channel", "open"],
            "need a private-",
        ),
    ] {
        let error = Endpoint::try_new(&target(arguments)).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn only_a_real_upgrade_is_accepted() {
    let accepted = |text: &str| endpoint::accepted(text.as_bytes());
    let good = "HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: \
                fFxSoRU11osFZSeXs/vZCYkeFKs=\r\n\r\n";
    assert_eq!(accepted(good), Ok(()));
    assert!(accepted("HTTP/1.1 403 Forbidden\r\n\r\n").unwrap_err().contains("403"));
    assert!(accepted("HTTP/1.1 101 X\r\n\r\n").unwrap_err().contains("no Sec-WebSocket-Accept"));
    assert!(accepted(&good.replace("fF", "xx")).unwrap_err().contains("wrong"));
}

fn pusher(publish: Publish, channel: &str) -> Endpoint {
    let mut target = target(&["--gateway", "ws://127.0.0.1:80", "--dialect", "pusher"]);
    target.key = Some("278d425bdf160c739803".to_owned());
    target.secret = Some("7ad3773142a6692b25b8".to_owned());
    target.channel = Some(channel.to_owned());
    target.publish = publish;
    Endpoint::try_new(&target).unwrap()
}

#[test]
fn pusher_subscribes_with_the_documented_signature() {
    let endpoint = pusher(Publish::Client, "private-foobar");
    let hello =
        br#"{"event":"pusher:connection_established","data":"{\"socket_id\":\"1234.1234\"}"}"#;
    let Step::Say(said) = endpoint.converse(Role::Subscriber, hello) else {
        panic!("a greeting is answered");
    };
    let said: serde_json::Value = serde_json::from_slice(&said).unwrap();
    assert_eq!(said["event"], "pusher:subscribe");
    assert_eq!(
        said["data"]["auth"],
        "278d425bdf160c739803:58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4"
    );
    let joined = br#"{"event":"pusher_internal:subscription_succeeded","channel":"x","data":"{}"}"#;
    assert!(matches!(endpoint.converse(Role::Subscriber, joined), Step::Joined));
    let error = br#"{"event":"pusher:error","data":{"code":4301,"message":"too fast"}}"#;
    assert!(matches!(endpoint.converse(Role::Publisher, error), Step::Refused(_)));
}

#[test]
fn pusher_publishes_by_signed_requests() {
    let endpoint = pusher(Publish::Http, "project-3");
    let one = String::from_utf8(endpoint.publication(&[b"wb:1".to_vec()])).unwrap();
    assert!(one.starts_with("POST /apps/1/events?auth_key=278d425bdf160c739803&auth_timestamp="));
    assert!(one.contains("&auth_signature="));
    let many = String::from_utf8(endpoint.publication(&vec![b"wb:1".to_vec(); 12])).unwrap();
    assert_eq!(many.matches("POST /apps/1/batch_events?").count(), 2);
    assert_eq!(many.matches("wb:1").count(), 12);
}

#[test]
fn http_answers_are_told_apart() {
    let good = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    let bad = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 4\r\n\r\nnope";
    let buffer = [good, chunked, bad, &good[..10]].concat();
    let answers = endpoint::answers(buffer.as_bytes());
    assert_eq!(answers.count, 3);
    assert_eq!(answers.consumed, buffer.len() - 10);
    assert_eq!(answers.refused.as_deref(), Some("HTTP/1.1 401 Unauthorized: nope"));
}

#[test]
fn latency_is_withheld_from_a_generator_that_was_the_bottleneck() {
    use super::engine::{Tally, withheld};
    let mut tally = Tally::new();
    tally.sent = 1000;
    tally.received = 1000;
    assert_eq!(withheld(&tally, 79.0), None);
    assert!(withheld(&tally, 81.0).unwrap().contains("the generator itself"));
    tally.late = 11;
    assert!(withheld(&tally, 10.0).unwrap().contains("late"));
    tally.late = 10;
    assert_eq!(withheld(&tally, 10.0), None);
    tally.received = 0;
    assert!(withheld(&tally, 10.0).is_some());
}

#[test]
fn durations_have_units_and_a_limit() {
    assert_eq!(args::parse_duration("500ms").unwrap().as_millis(), 500);
    assert_eq!(args::parse_duration("2m").unwrap().as_secs(), 120);
    for wrong in ["", "5", "s", "5d", "2h", "99999999999999999999s", "18446744073709551615h"] {
        assert!(args::parse_duration(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn the_command_line_is_sound() {
    use clap::CommandFactory as _;
    Command::command().debug_assert();
    let parsed = Command::try_parse_from([
        "bench",
        "burst",
        "--gateway",
        "ws://127.0.0.1:1",
        "--connections",
        "10",
    ])
    .unwrap();
    let super::Mode::Burst { burst, params, target } = parsed.bench.mode else {
        panic!("burst is burst");
    };
    assert_eq!((burst, params.connections), (NonZeroU32::new(8).unwrap(), 10));
    assert_eq!(target.dialect, Dialect::Raw);
    for wrong in [
        &["fan-out", "--gateway", "ws://x", "--payload", "34"][..],
        &["fan-out", "--gateway", "ws://x", "--rate", "0"],
        &["fan-out", "--gateway", "ws://x", "--url", "ws://y"],
        &["echo", "--gateway", "ws://x", "--beside-fanout", "5000"],
    ] {
        assert!(Command::try_parse_from([&["bench"], wrong].concat()).is_err(), "{wrong:?}");
    }
}

#[test]
fn the_kernel_says_what_waits_in_a_connection() {
    use std::{
        io::{Read as _, Write as _},
        net::{Ipv4Addr, TcpListener, TcpStream},
    };

    use super::sockets::{Inspector, Queues};

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    server.write_all(&[0; 1000]).unwrap();
    client.read_exact(&mut [0; 100]).unwrap();
    let inspector = Inspector::try_new().unwrap();
    let (local, remote) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
    assert_eq!(inspector.queues(local, remote).unwrap().receive, 900);
    // More than both kernels' buffers hold: what is left over waits on the server's end.
    server.set_nonblocking(true).unwrap();
    while server.write(&[0; 65536]).is_ok() {}
    let queues = inspector.queues(remote, local).unwrap();
    assert!(queues.send > 0 && queues.send_memory >= queues.send, "{queues:?}");
    drop((client, server));
    drop(listener);
    let nobody = (Ipv4Addr::LOCALHOST, 1).into();
    assert_eq!(inspector.queues(nobody, local).unwrap(), Queues::default());
}

#[test]
fn a_connection_can_come_from_an_address_of_its_own() {
    use std::net::{Ipv4Addr, TcpListener};

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let source = Ipv4Addr::new(127, 0, 1, 2);
    let _stream = super::engine::connect(listener.local_addr().unwrap(), Some(source)).unwrap();
    let (_, from) = listener.accept().unwrap();
    assert_eq!(from.ip(), source);
}
