//! Bad input, row by row (`P-..`): the exact answer, and that the gateway still serves after each.

use std::io::Write as _;
use std::time::Duration;

use runtime::Span;
use tokio::time::Instant;

use super::server::{Answered, Server, read};

const PUBLISH: &str = "/v1/apps/demo/publish";
const GOOD: &str = r#"{"channel":"lobby","data":1}"#;

/// Sends a request of its own and looks at the answer's status and code.
fn check(server: &Server, id: &str, answered: &Answered, status: u16, code: &str) {
    assert_eq!((answered.status, answered.code()), (status, code), "{id}: {answered:?}");
    if status >= 400 && !answered.body.is_null() {
        let kind = answered.header("content-type");
        assert_eq!(kind, Some("application/problem+json"), "{id}");
        assert_eq!(answered.body["status"], status, "{id}");
        assert!(answered.body["request_id"].is_string(), "{id}");
    }
    assert_eq!(answered.header("access-control-allow-origin"), None, "{id}");
    server.assert_serves(id);
}

#[test]
fn credentials() {
    let server = Server::start();
    let with = |authorization: &str| {
        server.raw(format!(
            "POST {PUBLISH} HTTP/1.1\r\nhost: x\r\n{authorization}content-type: application/json\
             \r\ncontent-length: {}\r\n\r\n{GOOD}",
            GOOD.len()
        ))
    };
    let (key, other) = (&server.key, &server.other_key);
    let last = if key.ends_with('x') { 'y' } else { 'x' };
    let wrong = format!("{}{last}", &key[..key.len() - 1]);
    let rows = [
        ("P-01 none", String::new()),
        ("P-01 scheme", format!("authorization: Basic {key}\r\n")),
        ("P-01 empty", String::from("authorization: Bearer \r\n")),
        ("P-01 not text", String::from("authorization: Bearer \u{fc}\r\n")),
        ("P-02 check", format!("authorization: Bearer {wrong}\r\n")),
        ("P-03 of another app", format!("authorization: Bearer {other}\r\n")),
    ];
    let mut bodies: Vec<_> = rows
        .iter()
        .map(|(id, header)| {
            let answered = with(header);
            check(&server, id, &answered, 401, "unauthorized");
            assert_eq!(answered.header("www-authenticate"), Some("bearer"), "{id}");
            answered.without_id()
        })
        .collect();
    let unknown = server.post("/v1/apps/nobody/publish", GOOD);
    check(&server, "P-02 unknown app", &unknown, 401, "unauthorized");
    bodies.push(unknown.without_id());
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");

    let off = server.post("/v1/apps/off/publish", GOOD);
    check(&server, "P-28 switched off", &off, 403, "forbidden");
    for query in [format!("key={key}"), format!("a=b&x={key}"), String::from("access_token=1")] {
        let answered = server.post(&format!("{PUBLISH}?{query}"), GOOD);
        check(&server, "P-04", &answered, 400, "key_in_url");
        assert!(!answered.text.contains(key.as_str()));
    }
    let twice = with(&format!("authorization: Bearer {key}\r\n").repeat(2));
    check(&server, "P-05", &twice, 400, "bad_message");
}

#[test]
fn paths_and_methods() {
    let server = Server::start();
    for method in ["GET", "PUT", "DELETE", "TRACE", "PATCH", "OPTIONS", "post", "BREW"] {
        let request = format!("{method} {PUBLISH} HTTP/1.1\r\nhost: x\r\norigin: http://a\r\n\r\n");
        let answered = server.raw(request);
        check(&server, &format!("P-06 {method}"), &answered, 405, "bad_message");
        assert_eq!(answered.header("allow"), Some("post"), "{method}");
        assert!(!answered.text.contains("origin"), "{method}");
    }
    let connect = server.raw("CONNECT x:1 HTTP/1.1\r\nhost: x:1\r\n\r\n");
    assert!((400..500).contains(&connect.status), "P-06 CONNECT: {connect:?}");
    for path in [
        "/v1/apps/demo/publish/",
        "/v1/apps/demo/publish.",
        "/v1/apps/demo//publish",
        "/v1/x",
        "/v1/apps/demo/%2e%2e/publish",
        "/v1/apps/demo/channels/..",
        "//v1/apps/demo/publish",
        "/v1/apps/../apps/demo/publish",
        "/v2/apps/demo/publish",
        "/v1",
    ] {
        check(&server, &format!("P-07 {path}"), &server.post(path, GOOD), 404, "not_found");
    }
    let preflight = "access-control-request-method: POST\r\norigin: https://a.example\r\n";
    let answered = server.raw(format!("OPTIONS {PUBLISH} HTTP/1.1\r\nhost: x\r\n{preflight}\r\n"));
    check(&server, "P-34", &answered, 405, "bad_message");
    assert!(!answered.head.contains("access-control"), "{answered:?}");
    let ignored = "range: bytes=0-1\r\nif-none-match: *\r\nif-match: \"x\"\r\ncookie: a=b\r\n\
                   upgrade: h2c\r\nx-http-method-override: DELETE\r\nx-http-method: PUT\r\n\
                   x-request-id: 1234\r\nif-modified-since: now\r\n";
    let answered = server.post_with(PUBLISH, ignored, GOOD);
    check(&server, "P-35, P-38", &answered, 200, "");
    let answered = server.post_with(PUBLISH, "x-request-id: mine\r\n", "{");
    check(&server, "P-39", &answered, 400, "bad_message");
    assert!(!answered.text.contains("mine") && !answered.head.contains("mine"));
}

#[test]
fn content_types_and_expectations() {
    let server = Server::start();
    let send = |headers: &str| {
        let key = &server.key;
        server.raw(format!(
            "POST {PUBLISH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n{headers}\
             content-length: {}\r\n\r\n{GOOD}",
            GOOD.len()
        ))
    };
    let json = "content-type: application/json\r\n";
    for (id, headers, status) in [
        ("P-08 none", String::new(), 415),
        ("P-08 text", String::from("content-type: text/plain\r\n"), 415),
        ("P-08 form", String::from("content-type: application/x-www-form-urlencoded\r\n"), 415),
        ("P-08 utf-16", String::from("content-type: application/json; charset=utf-16\r\n"), 415),
        ("P-08 twice", json.repeat(2), 415),
        ("P-08 like", String::from("content-type: application/jsonx\r\n"), 415),
        ("utf-8", String::from("content-type: Application/JSON;charset=\"UTF-8\"\r\n"), 200),
        ("P-09 gzip", format!("{json}content-encoding: gzip\r\n"), 415),
        ("P-15 other", format!("{json}expect: 200-ok\r\n"), 417),
        ("P-15 both", format!("{json}expect: 100-continue\r\nexpect: x\r\n"), 417),
    ] {
        let code = if status == 200 { "" } else { "bad_message" };
        check(&server, id, &send(&headers), status, code);
    }
    let continued = send(&format!("{json}expect: 100-continue\r\n"));
    check(&server, "P-14 good key", &continued, 200, "");
    assert!(continued.head.starts_with("http/1.1 100"), "{continued:?}");
    let refused = server.raw(format!(
        "POST {PUBLISH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer none\r\n{json}\
         expect: 100-continue\r\ncontent-length: 9\r\n\r\n"
    ));
    check(&server, "P-14", &refused, 401, "unauthorized");
    assert!(!refused.head.contains("100"), "{refused:?}");
}

#[test]
fn bodies() {
    let server = Server::start();
    let deep = |depth: usize| {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        format!(r#"{{"channel":"a","data":{open}{close}}}"#)
    };
    let name = "n".repeat(201);
    let long = format!(r#"{{"channel":"{name}","data":1}}"#);
    let event = format!(r#"{{"channel":"a","event":"{name}","data":1}}"#);
    let rows: [(&str, &str, u16, &str); 32] = [
        ("P-10 empty", "", 400, "bad_message"),
        ("P-10 not JSON", "{", 400, "bad_message"),
        ("P-10 more after", r#"{"channel":"a","data":1}x"#, 400, "bad_message"),
        ("P-10 worse than unknown", r#"{"zzz":1,"channel":"a","data":1"#, 400, "bad_message"),
        ("P-10 no object", r#"["a",1]"#, 422, "bad_message"),
        ("P-10 null", "null", 422, "bad_message"),
        ("P-18 missing", r#"{"data":1}"#, 422, "bad_channel"),
        ("P-18 null", r#"{"channel":null,"data":1}"#, 422, "bad_channel"),
        ("P-18 number", r#"{"channel":1,"data":1}"#, 422, "bad_channel"),
        ("P-18 empty", r#"{"channel":"","data":1}"#, 422, "bad_channel"),
        ("P-18 charset", r#"{"channel":"a b","data":1}"#, 422, "bad_channel"),
        ("P-18 reserved", r##"{"channel":"#a","data":1}"##, 422, "bad_channel"),
        ("P-18 201 bytes", &long, 422, "bad_channel"),
        ("P-20 missing", r#"{"channel":"a"}"#, 422, "bad_message"),
        ("P-20 null", r#"{"channel":"a","data":null}"#, 200, ""),
        ("P-20 depth 32", &deep(31), 200, ""),
        ("P-20 depth 33", &deep(32), 422, "bad_message"),
        ("P-21", r#"{"channel":"a","data":1,"ttl":3}"#, 422, "bad_message"),
        ("P-22", r#"{"channel":"a","data":1,"channel":"b"}"#, 422, "bad_message"),
        ("P-22 escaped", r#"{"channel":"a","data":1,"\u0064ata":2}"#, 422, "bad_message"),
        ("surrogate", r#"{"channel":"a","data":"\ud800"}"#, 422, "bad_message"),
        ("surrogate within", r#"{"channel":"a","data":{"x":["\udc00"]}}"#, 422, "bad_message"),
        ("pair", r#"{"channel":"a","data":"\ud83d\ude00"}"#, 200, ""),
        ("event empty", r#"{"channel":"a","event":"","data":1}"#, 422, "bad_event"),
        ("event number", r#"{"channel":"a","event":1,"data":1}"#, 422, "bad_event"),
        ("event long", &event, 422, "bad_event"),
        ("event null", r#"{"channel":"a","event":null,"data":1}"#, 200, ""),
        ("exclude", r#"{"channel":"a","data":1,"exclude":"1"}"#, 422, "bad_message"),
        ("both", r#"{"channel":"a","data":1,"data_base64":""}"#, 422, "bad_message"),
        ("base64", r#"{"channel":"a","data_base64":"YQ"}"#, 422, "bad_message"),
        ("base64 good", r#"{"channel":"a","data_base64":"YQ=="}"#, 200, ""),
        ("key null", r#"{"channel":"a","data":1,"idempotency_key":null}"#, 200, ""),
    ];
    for (id, body, status, code) in rows {
        check(&server, id, &server.post(PUBLISH, body), status, code);
    }
    let answered = server.post(PUBLISH, r#"{"channel":"a","data":1,"ttl":3}"#);
    assert!(answered.body["detail"].as_str().unwrap().contains("`ttl`"), "{answered:?}");
    let answered = server.post(PUBLISH, r#"{"channel":"a","data":1,"se cret":3}"#);
    assert!(!answered.text.contains("se cret"), "{answered:?}");

    let bytes = [server.request(PUBLISH, "", "{\"\": }").as_bytes(), b""].concat();
    let at = bytes.len() - 4;
    let bytes = [&bytes[..at], b"\xff", &bytes[at + 1..]].concat();
    check(&server, "P-10 UTF-8", &server.raw(bytes), 400, "bad_message");
    let query = server.post(&format!("{PUBLISH}?a=b"), GOOD);
    check(&server, "query", &query, 422, "bad_message");
    for (id, data, status) in [("P-20 64 KiB", 65_536, 200), ("P-20 more", 65_537, 413)] {
        let body = format!(r#"{{"channel":"a","data":"{}"}}"#, "x".repeat(data));
        let code = if status == 200 { "" } else { "too_large" };
        check(&server, id, &server.post(PUBLISH, &body), status, code);
    }
}

#[test]
fn sizes_and_framing() {
    let server = Server::start();
    let head = format!(
        "POST {PUBLISH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\n",
        server.key
    );
    let sized = |length: &str, body: &str| format!("{head}content-length: {length}\r\n\r\n{body}");
    let chunked = |body: &str| format!("{head}transfer-encoding: chunked\r\n\r\n{body}");
    let megabyte = "x".repeat(1 << 20);
    let too_large = server.raw(sized("10737418240", ""));
    check(&server, "P-11 declared", &too_large, 413, "too_large");
    assert_eq!(too_large.header("connection"), Some("close"));
    let too_large = server.raw(chunked(&format!("100001\r\n{megabyte}x\r\n0\r\n\r\n")));
    check(&server, "P-11 chunked", &too_large, 413, "too_large");
    let before = Instant::now();
    let slow = server.raw(sized("100", "{"));
    check(&server, "P-12", &slow, 408, "bad_message");
    assert_eq!(slow.header("connection"), Some("close"));
    assert!(before.elapsed() >= Duration::from_millis(500));
    let ended = server.raw_and_end(sized("100", GOOD));
    check(&server, "P-13", &ended, 400, "bad_message");
    for (id, request) in [
        (
            "P-16 both",
            format!("{head}content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        ),
        ("P-16 coded", format!("{head}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n")),
        ("P-16 two lengths", format!("{head}content-length: 3\r\ncontent-length: 4\r\n\r\n{{}}")),
        ("P-16 twice", format!("{head}{0}{0}\r\n0\r\n\r\n", "transfer-encoding: chunked\r\n")),
        ("P-16 xchunked", format!("{head}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n")),
        ("P-16 overflow", chunked("ffffffffffffffff1\r\nx\r\n0\r\n\r\n")),
        ("P-17 extension", chunked(&format!("1;{megabyte}\r\nx\r\n0\r\n\r\n"))),
        (
            "P-17 trailers",
            chunked(&format!("2\r\n{{}}\r\n0\r\nx: {}\r\n\r\n", &megabyte[..65_536])),
        ),
    ] {
        let answered = server.raw(request);
        assert_eq!(answered.status, 400, "{id}: {answered:?}");
        assert_eq!(answered.header("connection"), Some("close"), "{id}: {answered:?}");
        server.assert_serves(id);
    }
    let small = chunked(&("1\r\n \r\n".repeat(1_000_000) + "2\r\n{}\r\n0\r\n\r\n"));
    let before = Instant::now();
    let answered = server.raw(small);
    assert!([408, 422].contains(&answered.status), "P-17 one-byte chunks: {answered:?}");
    assert!(before.elapsed() < Duration::from_secs(5));
    server.assert_serves("P-17");
}

#[test]
fn rates() {
    let server = Server::start();
    let path = "/v1/apps/slow/publish";
    for _ in 0..2 {
        assert_eq!(server.post(path, GOOD).status, 200);
    }
    let limited = server.post(path, GOOD);
    check(&server, "P-27", &limited, 429, "rate_limited");
    let seconds = |name: &str| limited.header(name).unwrap().parse::<u64>().unwrap();
    assert!(seconds("retry-after") >= 1);
    assert_eq!((seconds("ratelimit-limit"), seconds("ratelimit-remaining")), (1, 0));
    assert!(seconds("ratelimit-reset") >= 1);
    let never = r#"{"channels":["a","b","c"],"data":1}"#;
    let never = server.post("/v1/apps/slow/broadcast", never);
    check(&server, "more than ever", &never, 413, "limit_exceeded");
}

#[test]
fn broker_that_is_away_or_slow() {
    let server = Server::start();
    let away = server.post(PUBLISH, r#"{"channel":"away","data":1}"#);
    check(&server, "P-29 down", &away, 503, "unavailable");
    assert_eq!(away.header("retry-after"), Some("1"));
    let all = r#"{"channels":["away-1","away-2"],"data":1}"#;
    check(&server, "P-29 all", &server.post("/v1/apps/demo/broadcast", all), 503, "unavailable");
    let before = Instant::now();
    let stuck = server.post(PUBLISH, r#"{"channel":"stuck","data":1}"#);
    check(&server, "P-29 slow", &stuck, 503, "unavailable");
    assert!(before.elapsed() < Duration::from_millis(2_500));
}

#[test]
fn requests_in_flight_are_bounded() {
    let server = Server::start_with(|config| {
        config.limits.api_requests_in_flight_max = 1;
        config.limits.api_body_timeout = Span::from_secs(3);
    });
    let mut first = server.begin(PUBLISH, GOOD);
    let answered = server.post(PUBLISH, GOOD);
    assert_eq!((answered.status, answered.code()), (503, "unavailable"), "{answered:?}");
    assert_eq!(answered.header("retry-after"), Some("1"));
    first.write_all(GOOD.as_bytes()).unwrap();
    assert_eq!(read(&mut first).status, 200);
    server.assert_serves("in flight");
}

#[test]
fn draining_gateway_finishes_what_it_has_begun() {
    let server = Server::start_with(|config| {
        config.shutdown.window = Span::from_secs(2);
        config.limits.api_body_timeout = Span::from_secs(3);
    });
    let mut socket = server.begin(PUBLISH, GOOD);
    std::thread::scope(|scope| {
        scope.spawn(|| server.running.stop());
        while !server.running.gateway.stopping.is_cancelled() {
            std::thread::yield_now();
        }
        socket.write_all(GOOD.as_bytes()).unwrap();
        let answered = read(&mut socket);
        assert_eq!(answered.status, 200, "P-31: {answered:?}");
        assert_eq!(answered.header("connection"), Some("close"), "P-31: {answered:?}");
    });
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Server::start();
    let mut socket = server.connect();
    let key = &server.key;
    let mut requests = String::new();
    for number in 0..1_000 {
        requests += &format!(
            "GET /v1/apps/demo/channels/c{number} HTTP/1.1\r\nhost: x\r\n\
             authorization: Bearer {key}\r\n\r\n"
        );
    }
    let mut sender = socket.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || sender.write_all(requests.as_bytes()).unwrap());
        let (mut text, mut next) = (String::new(), 0);
        while next < 1_000 {
            let mut buffer = [0; 4096];
            let read = std::io::Read::read(&mut socket, &mut buffer).unwrap();
            assert_ne!(read, 0, "P-32: closed after {next}");
            text += std::str::from_utf8(&buffer[..read]).unwrap();
            while let Some(at) = text.find(&format!(r#"{{"channel":"c{next}","#)) {
                text.drain(..=at);
                next += 1;
            }
        }
    });
}
