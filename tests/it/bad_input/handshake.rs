//! H: handshakes.

use super::ROOMY;
use super::after::Watch;
use super::row::{
    Answer, Door, Row, Step, closed, ends, http, http_kept, pusher_closed, row, status, switched,
    then,
};
use super::wire::{self, Request, get, request, upgrade};

const RAW: &str = "/a/demo/raw?key=demokey&channel=h&publish=h";
const PUSHER: &str = "/app/demokey?protocol=7";
const PAGES: &str = "/a/pages/raw?key=pageskey";

#[tokio::test]
async fn handshakes_are_answered_as_the_table_says() {
    let mut watch = Watch::start(ROOMY).await.expect("a gateway");
    watch.run(&table()).await;
}

pub(super) fn table() -> Vec<Row> {
    let parts = [requests(), websocket(), origins(), apps(), sizes(), foreign(), smuggled()];
    parts.into_iter().flatten().collect()
}

fn raw() -> Request {
    upgrade(RAW)
}

fn bad() -> Answer {
    status(400).code("bad_message").header("connection", "close")
}

/// Frames may follow, which are no requests.
fn unknown() -> Answer {
    status(404).code("not_found").header("connection", "close")
}

/// Refused by the HTTP parser, which writes no body (settled-gateway 10).
fn unread(code: u16) -> Answer {
    status(code).empty()
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn requests() -> Vec<Row> {
    vec![
        http("H-01", "valid, raw", raw(), switched()),
        row(
            "H-01",
            "valid, Pusher",
            Door::Tcp,
            vec![
                Step::Send(upgrade(PUSHER).bytes()),
                Step::Answer(switched()),
                Step::Event(
                    "pusher:connection_established",
                    vec![String::from(r#"\"activity_timeout\":120"#)],
                ),
                Step::Lives,
            ],
        ),
        http("H-03", "no Host", raw().without("Host"), bad()),
        http("H-04", "two Hosts", raw().add("Host", "gateway.test"), bad()),
        http("H-05", "HTTP/1.0", raw().line(format!("GET {RAW} HTTP/1.0")), bad()),
        http(
            "H-06",
            "POST",
            raw().line(format!("POST {RAW} HTTP/1.1")),
            status(405).code("bad_message").header("allow", "GET"),
        ),
        http("H-07", "unknown path", upgrade("/nowhere"), unknown()),
        http_kept("H-07", "unknown path, no upgrade", get("/nowhere"), {
            status(404).code("not_found")
        }),
        http(
            "H-08",
            "absolute target, another host",
            raw().line(format!("GET http://evil.test{RAW} HTTP/1.1")),
            bad(),
        ),
        http(
            "H-08",
            "absolute target, the same host: no fault",
            raw().line(format!("GET http://gateway.test{RAW} HTTP/1.1")),
            switched(),
        ),
        http("H-09", "a body", raw().add("Content-Length", "5").rest("hello"), bad()),
        http("H-09", "a length of none: no fault", raw().add("Content-Length", "0"), switched()),
        http(
            "H-10",
            "a chunked body",
            raw().add("Transfer-Encoding", "chunked").rest("0\r\n\r\n"),
            bad(),
        ),
        http(
            "H-11",
            "a length and chunks",
            raw().add("Content-Length", "5").add("Transfer-Encoding", "chunked").rest("0\r\n\r\n"),
            bad(),
        ),
        http(
            "H-12",
            "two lengths",
            raw().add("Content-Length", "5").add("Content-Length", "6").rest("hello"),
            unread(400),
        ),
        row(
            "H-13",
            "a second request behind the upgrade: its bytes are frames",
            Door::Tcp,
            then(
                vec![
                    Step::Send([raw().bytes(), get("/").bytes()].concat()),
                    Step::Answer(switched()),
                ],
                closed(1002),
            ),
        ),
        http(
            "H-14",
            "a refused upgrade and a second request, which is never answered",
            [raw().set("Sec-WebSocket-Version", "8").bytes(), get("/").bytes()].concat(),
            status(426).header("connection", "close"),
        ),
    ]
}

fn websocket() -> Vec<Row> {
    let no_upgrade = || status(426).code("bad_message").header("upgrade", "websocket");
    let version = || status(426).code("bad_message").header("sec-websocket-version", "13");
    let with_version = |value: &str| raw().set("Sec-WebSocket-Version", value);
    let with_key = |value: &str| raw().set("Sec-WebSocket-Key", value);
    vec![
        http(
            "H-02",
            "tokens in odd case, among others",
            raw().set("Connection", "keep-alive, uPgRaDe").set("Upgrade", "WebSocket"),
            switched(),
        ),
        http("H-15", "no Upgrade", raw().without("Upgrade"), no_upgrade()),
        http("H-16", "Upgrade: h2c", raw().set("Upgrade", "h2c"), no_upgrade()),
        http("H-17", "no Connection", raw().without("Connection"), bad()),
        http("H-17", "Connection: close", raw().set("Connection", "close"), bad()),
        http("H-18", "no version", raw().without("Sec-WebSocket-Version"), version()),
        http("H-18", "version 8", with_version("8"), version()),
        http("H-18", "version 0", with_version("0"), version()),
        http("H-18", "two versions in one", with_version("13, 8"), version()),
        http("H-18", "a version in words", with_version("thirteen"), version()),
        http("H-18", "two versions", raw().add("Sec-WebSocket-Version", "13"), version()),
        http("H-19", "spaces around the version", with_version("   13  "), switched()),
        http(
            "H-20",
            "8 KB of spaces as subprotocol",
            raw().add("Sec-WebSocket-Protocol", " ".repeat(8192)),
            status(400).code("unsupported_subprotocol"),
        ),
        http(
            "H-21",
            "unknown subprotocols only",
            raw().add("Sec-WebSocket-Protocol", "chat, superchat"),
            status(400).code("unsupported_subprotocol"),
        ),
        http("H-33", "no key", raw().without("Sec-WebSocket-Key"), bad()),
        http("H-33", "a key of 15 bytes", with_key("AAAAAAAAAAAAAAAAAAAA"), bad()),
        http("H-33", "a key that is no base64", with_key("not base64 at all!!!!!!!"), bad()),
        http("H-34", "two keys", raw().add("Sec-WebSocket-Key", wire::KEY), bad()),
        http(
            "H-44",
            "an extension with a wrong parameter",
            raw().add("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits=99"),
            switched(),
        ),
        http(
            "H-45",
            "8 KB of extensions, nested quotes",
            raw().add("Sec-WebSocket-Extensions", "x; a=\"\\\"\\\"\"; ".repeat(500)),
            switched(),
        ),
    ]
}

fn origins() -> Vec<Row> {
    let refused = || status(403).code("origin_refused").header("connection", "close");
    let from = |origin: &str| upgrade(PAGES).add("Origin", origin);
    let rows = [
        ("H-22", "not on the list", "https://evil.example"),
        ("H-23", "a listed one as prefix", "https://app.example.com.evil.io"),
        ("H-24", "a listed one as suffix", "https://evilapp.example.com"),
        ("H-24", "a subdomain of a listed one", "https://x.app.example.com"),
        ("H-25", "another port", "https://app.example.com:8443"),
        ("H-25", "another scheme", "http://app.example.com"),
        ("H-27", "null", "null"),
        ("H-29", "a look-alike in Cyrillic", "https://\u{430}pp.example.com"),
        ("H-29", "its punycode", "https://xn--pp-6kc.example.com"),
        ("H-22", "a user before the host", "https://app.example.com@evil.io"),
        ("H-22", "a path behind a listed one", "https://app.example.com/x"),
        ("H-22", "empty", ""),
    ];
    let refusals = rows.map(|(id, what, origin)| http(id, what, from(origin), refused()));
    let mut rows = Vec::from(refusals);
    rows.extend([
        http(
            "H-22",
            "told by status to Pusher clients too",
            upgrade("/app/pageskey?protocol=7").add("Origin", "https://evil.example"),
            refused(),
        ),
        http("H-26", "capitals and the default port", from("HTTPS://APP.Example.com:443"), {
            switched()
        }),
        http("H-26", "a listed port", from("http://localhost:3000"), switched()),
        http("H-28", "two Origins", from("https://app.example.com").add("Origin", "null"), bad()),
        http("H-28", "a list", from("https://app.example.com, https://app.example.com"), bad()),
        http("H-28", "a list, at an app that takes any", raw().add("Origin", "https://a,b"), bad()),
        http("H-30", "not UTF-8", upgrade(PAGES).add("Origin", b"https://\xff.example"), bad()),
        http("H-30", "not UTF-8, Pusher", upgrade(PUSHER).add("Origin", b"http://\xff"), bad()),
        http("H-31", "none, with a key", upgrade(PAGES), switched()),
    ]);
    rows
}

fn apps() -> Vec<Row> {
    let stranger = || status(401).code("unauthorized").header("connection", "close");
    let at = upgrade;
    let digest = "0".repeat(64);
    let signed =
        |app: &str| at(&format!("/a/{app}/raw?key=demokey&expires=9999999999&signature={digest}"));
    let expired = "/a/demo/raw?key=demokey&expires=1000";
    let told = |id, what, target: &str, code| {
        let mut steps = vec![Step::Send(at(target).bytes()), Step::Answer(switched())];
        steps.extend(pusher_closed(code));
        row(id, what, Door::Tcp, steps)
    };
    let raw_told = |id, what, target: &str, code| {
        let mut steps = vec![Step::Send(at(target).bytes()), Step::Answer(switched())];
        steps.extend(closed(code));
        row(id, what, Door::Tcp, steps)
    };
    vec![
        http(
            "H-32",
            "a session cookie, no key",
            at("/a/demo/raw").add("Cookie", "session=0123456789abcdef; key=demokey"),
            stranger(),
        ),
        http("H-50", "NUL in the path", at("/a/demo%00/raw?key=demokey"), unknown()),
        http("H-50", "an encoded way up", at("/a/x/..%2fdemo/raw?key=demokey"), unknown()),
        http("H-50", "a plain way up", at("/a/x/../demo/raw?key=demokey"), unknown()),
        http("H-50", "overlong UTF-8", at("/a/%c0%ae%c0%ae/raw?key=demokey"), unknown()),
        told("H-50", "NUL in a Pusher key", "/app/demokey%00?protocol=7", 4001),
        told("H-50", "overlong UTF-8 in a Pusher key", "/app/demoke%c1%b9?protocol=7", 4001),
        http("H-51", "unknown app", at("/a/nosuch/raw?key=demokey"), stranger()),
        http("H-51", "another app's key", at("/a/demo/raw?key=otherkey"), stranger()),
        http("H-51", "a wrong signature", signed("demo"), stranger()),
        http("H-51", "a wrong signature, unknown app", signed("nosuch"), stranger()),
        http("H-51", "an app without this dialect", at("/a/pusheronly/raw?key=pusheronlykey"), {
            stranger()
        }),
        told("H-51", "unknown Pusher key", "/app/nosuch?protocol=7", 4001),
        told("H-51", "no Pusher key", "/app/?protocol=7", 4001),
        told("H-51", "an app without Pusher", "/app/rawonlykey?protocol=7", 4009),
        told("H-51", "an app that is off, Pusher", "/app/offkey?protocol=7", 4003),
        raw_told("H-51", "an app that is off, raw", "/a/off/raw?key=offkey", 4403),
        http("H-52", "a key twice", at("/a/demo/raw?key=demokey&key=demokey"), bad()),
        http("H-52", "publish twice", at("/a/demo/raw?key=demokey&publish=a&publish=b"), bad()),
        http("H-52", "an unknown parameter", at("/a/demo/raw?key=demokey&token=x"), bad()),
        http("H-52", "a term nobody signed", at(expired), bad()),
        http("H-52", "a user nobody signed", at("/a/demo/raw?key=demokey&user_id=7"), bad()),
        http("H-52", "a bad channel", at("/a/demo/raw?key=demokey&channel=a%20b"), bad()),
        http("H-52", "an empty channel", at("/a/demo/raw?key=demokey&channel="), bad()),
        told("H-52", "a version twice", "/app/demokey?protocol=7&protocol=6", 4006),
        told("M-18", "no version", "/app/demokey", 4008),
        told("M-18", "version 0", "/app/demokey?protocol=0", 4007),
        told("M-18", "version 999", "/app/demokey?protocol=999", 4007),
        told("M-18", "a version in words", "/app/demokey?protocol=seven", 4006),
        told(
            "M-18",
            "a version of 30 digits",
            "/app/demokey?protocol=777777777777777777777777777777",
            4006,
        ),
    ]
}

fn sizes() -> Vec<Row> {
    let filled =
        |count: usize| (0..count).fold(raw(), |request, at| request.add(&format!("X-{at}"), "x"));
    let long = |bytes: usize| raw().add("X-Long", "x".repeat(bytes));
    let target = |bytes: usize| {
        let target = format!("{RAW}&channel={}", "x".repeat(bytes));
        raw().line(format!("GET {target} HTTP/1.1"))
    };
    vec![
        // Five headers are the upgrade's own.
        http("H-35", "64 headers", filled(59), switched()),
        http("H-35", "65 headers", filled(60), unread(431)),
        http("H-35", "205 headers", filled(200), unread(431)),
        http("H-36", "a header of 9 KB: no fault", long(9_000), switched()),
        http("H-36", "a header of 70 KB", long(70_000), unread(431)),
        http("H-36", "a header of 1 MB", long(1_000_000), unread(431)),
        http("H-37", "a target of 4.1 KB (ours)", target(4_100), {
            status(414).code("too_large").header("connection", "close")
        }),
        http(
            "H-37",
            "a target of 70 KB: 431, not 414, beyond the header limit (settled-gateway 10)",
            target(70_000),
            unread(431),
        ),
    ]
}

fn foreign() -> Vec<Row> {
    let proxy_v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01\0\x50\x1f\x90";
    let hello = [&b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03"[..], &[7; 196]].concat();
    vec![
        http("H-38", "a space before the colon", raw().add_line("X-A : x"), unread(400)),
        http("H-38", "a folded header", raw().add_line("X-A: x\r\n y"), unread(400)),
        http("H-38", "NUL in a value", raw().add("X-A", b"x\0y"), unread(400)),
        http("H-38", "a bare CR in a value", raw().add("X-A", b"x\ry"), unread(400)),
        http("H-38", "a header without a name", raw().add_line(": x"), unread(400)),
        http("H-39", "bare LF: accepted (settled-gateway 10)", raw().bytes_with(b"\n"), switched()),
        http(
            "H-41",
            "PROXY v1",
            [&b"PROXY TCP4 127.0.0.1 127.0.0.1 80 80\r\n"[..], &raw().bytes()].concat(),
            unread(400),
        ),
        http("H-41", "PROXY v2", [&proxy_v2[..], &raw().bytes()].concat(), unread(400)),
        http("H-47", "a TLS hello on the plain port", hello, unread(400)),
        row("H-48", "an HTTP/2 preface", Door::Tcp, {
            vec![Step::Send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()), ends()]
        }),
        http("H-49", "300 bytes of 0xFF", vec![0xff; 300], unread(400)),
        http("H-49", "a line of spaces", b"   \r\n\r\n", unread(400)),
        http("H-49", "a request without a version", b"GET /\r\n\r\n", unread(400)),
    ]
}

fn smuggled() -> Vec<Row> {
    let word = || wire::text("early");
    vec![
        row(
            "H-46",
            "frames before the answer",
            Door::Tcp,
            vec![
                Step::Send([raw().bytes(), word()].concat()),
                Step::Answer(switched()),
                Step::Frame(super::socket::Frame::Text(String::from("early"))),
                Step::Lives,
            ],
        ),
        row(
            "H-46",
            "a wrong frame before the answer",
            Door::Tcp,
            then(
                vec![
                    Step::Send([raw().bytes(), wire::unmasked(0x81, b"x")].concat()),
                    Step::Answer(switched()),
                ],
                closed(1002),
            ),
        ),
        row(
            "H-46",
            "half of a request, then the end",
            Door::Tcp,
            vec![Step::Send(raw().bytes()[..40].to_vec()), Step::Finish, ends()],
        ),
        http("H-06", "CONNECT", request("CONNECT", "gateway.test:443"), status(400)),
    ]
}
