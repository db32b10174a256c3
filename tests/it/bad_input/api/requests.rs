//! P: requests that are wrong before anybody looks into their body.

use super::{KEYS, MESSAGE, PUBLISH, ask, asked, bearer, publish, stranger, to, wrong};
use crate::bad_input::row::{Door, Row, Step, ends, row, status};
use crate::bad_input::wire::request;

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn credentials() -> Vec<Row> {
    let with = |value: &str| publish(MESSAGE).set("Authorization", value);
    let good = KEYS.demo.text.expose().clone();
    let changed = |from: usize| {
        let mut text = good.clone().into_bytes();
        let at = text.len() - from;
        text[at] = if text[at] == b'a' { b'b' } else { b'a' };
        format!("Bearer {}", String::from_utf8(text).expect("ASCII"))
    };
    let in_url = |query: &str| {
        let target = format!("{PUBLISH}?{query}");
        to(&target, MESSAGE).without("Authorization")
    };
    vec![
        asked("P-01", "no key", publish(MESSAGE).without("Authorization"), stranger()),
        asked("P-01", "another scheme", with(&format!("Basic {good}")), stranger()),
        asked("P-01", "no scheme", with(&good), stranger()),
        asked("P-01", "an empty key", with("Bearer "), stranger()),
        asked("P-01", "an empty header", with(""), stranger()),
        asked("P-02", "an unknown key id", with(&bearer(&KEYS.off)), stranger()),
        asked("P-02", "another secret", with(&changed(20)), stranger()),
        asked("P-02", "a wrong check", with(&changed(1)), stranger()),
        asked("P-02", "cut short", with(&format!("Bearer {}", &good[..good.len() - 1])), {
            stranger()
        }),
        asked("P-02", "10 KB of key", with(&format!("Bearer {}", "x".repeat(10_000))), {
            stranger()
        }),
        asked("P-02", "not ASCII", publish(MESSAGE).set("Authorization", b"Bearer \xff\xfe"), {
            stranger()
        }),
        asked(
            "P-03",
            "another app's key: 401, since whose it is is not told",
            with(&bearer(&KEYS.other)),
            stranger(),
        ),
        asked(
            "P-03",
            "an app that is off",
            to("/v1/apps/off/publish", MESSAGE).set("Authorization", bearer(&KEYS.off)),
            wrong(403, "forbidden"),
        ),
        asked("P-04", "in the URL", in_url(&format!("key={good}")), wrong(400, "key_in_url")),
        asked(
            "P-04",
            "in the URL, beside the right one",
            to(&format!("{PUBLISH}?access_token=x"), MESSAGE),
            wrong(400, "key_in_url"),
        ),
        asked("P-04", "in the URL under another name", in_url(&format!("x={good}")), {
            wrong(400, "key_in_url")
        }),
        asked("P-05", "two headers", publish(MESSAGE).add("Authorization", bearer(&KEYS.demo)), {
            wrong(400, "bad_message")
        }),
        asked(
            "P-14",
            "100-continue with a wrong key: no 100",
            with(&bearer(&KEYS.other)).add("Expect", "100-continue").rest(""),
            stranger(),
        ),
        row(
            "P-14",
            "100-continue with a right key: no fault",
            Door::Tcp,
            vec![
                Step::Send(publish(MESSAGE).add("Expect", "100-continue").rest("").bytes()),
                Step::Answer(status(100)),
                Step::Send(MESSAGE.as_bytes().to_vec()),
                Step::Answer(status(200)),
            ],
        ),
        asked("P-15", "another expectation", publish(MESSAGE).add("Expect", "a-pony"), {
            wrong(417, "bad_message")
        }),
    ]
}

pub(super) fn paths() -> Vec<Row> {
    let allowed = |what, method: &'static str, path: &str, allow| {
        let asked_for = request(method, path).add("Authorization", bearer(&KEYS.demo));
        let answer = wrong(405, "bad_message").header("allow", allow);
        asked("P-06", what, asked_for, answer)
    };
    let lost = |what, path: &str| asked("P-07", what, to(path, MESSAGE), wrong(404, "not_found"));
    vec![
        allowed("GET", "GET", PUBLISH, "POST"),
        allowed("PUT", "PUT", PUBLISH, "POST"),
        allowed("DELETE", "DELETE", PUBLISH, "POST"),
        allowed("PATCH", "PATCH", PUBLISH, "POST"),
        allowed("TRACE: nothing is echoed", "TRACE", PUBLISH, "POST"),
        allowed("a method of our own", "PUBLISH", PUBLISH, "POST"),
        allowed("POST where one only looks", "POST", "/v1/apps/demo/channels", "GET, HEAD"),
        asked("P-06", "CONNECT", request("CONNECT", "gateway.test:443"), status(400)),
        asked(
            "P-34",
            "a preflight: no CORS",
            {
                request("OPTIONS", PUBLISH)
                    .add("Origin", "https://app.example.com")
                    .add("Access-Control-Request-Method", "POST")
            },
            wrong(405, "bad_message").no("access-control-allow-methods"),
        ),
        lost("unknown", "/v1/apps/demo/nothing"),
        lost("a slash at the end", "/v1/apps/demo/publish/"),
        lost("dots at the end", "/v1/apps/demo/publish.."),
        lost("two slashes", "/v1//apps/demo/publish"),
        lost("two slashes in front", "//v1/apps/demo/publish"),
        lost("a way up", "/v1/apps/demo/../demo/publish"),
        lost("an encoded way up", "/v1/apps/%2e%2e/apps/demo/publish"),
        lost("an encoded letter", "/v1/apps/dem%6f/publish"),
        lost("an encoded slash", "/v1/apps/demo%2fpublish"),
        lost("capitals", "/V1/apps/demo/publish"),
        lost("an app that cannot be", "/v1/apps/DEMO/publish"),
        lost("another version", "/v2/apps/demo/publish"),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn bodies() -> Vec<Row> {
    let typed = |what, value: &str| {
        let request = publish(MESSAGE).set("Content-Type", value);
        asked("P-08", what, request, wrong(415, "bad_message"))
    };
    let bad = |what, body: &[u8]| asked("P-10", what, publish(body), wrong(400, "bad_message"));
    let large = || status(413).code("too_large").header("connection", "close");
    let chunked = |body: &str| {
        publish("").without("Content-Length").add("Transfer-Encoding", "chunked").rest(body)
    };
    let chunk = |bytes: usize| format!("{bytes:x}\r\n{}\r\n", " ".repeat(bytes));
    let over = chunk(65_536).repeat(17);
    let number = format!(r#"{{"channel":"p","data":{}}}"#, "9".repeat(400));
    vec![
        asked("P-08", "no type", publish(MESSAGE).without("Content-Type"), {
            wrong(415, "bad_message")
        }),
        typed("text", "text/plain"),
        typed("a form", "application/x-www-form-urlencoded"),
        typed("UTF-16", "application/json; charset=utf-16"),
        asked("P-08", "two types", publish(MESSAGE).add("Content-Type", "application/json"), {
            wrong(415, "bad_message")
        }),
        asked(
            "P-08",
            "UTF-8, said so: no fault",
            publish(MESSAGE).set("Content-Type", "Application/JSON; charset=\"UTF-8\""),
            status(200),
        ),
        asked("P-09", "gzip", publish(MESSAGE).add("Content-Encoding", "gzip"), {
            wrong(415, "bad_message").header("accept-encoding", "identity")
        }),
        bad("empty", b""),
        bad("no JSON", b"hello"),
        bad("cut short", br#"{"channel":"p","data":1"#),
        bad("not UTF-8", b"{\"channel\":\"p\",\"data\":\"\xff\"}"),
        bad("a BOM", "\u{feff}{}".as_bytes()),
        bad("two objects", format!("{MESSAGE}{MESSAGE}").as_bytes()),
        bad("NaN", br#"{"channel":"p","data":NaN}"#),
        asked("P-10", "an array", publish("[]"), wrong(422, "bad_message")),
        asked("P-10", "null", publish("null"), wrong(422, "bad_message")),
        asked("P-20", "a number of 400 digits: no fault, its text is kept", publish(number), {
            status(200)
        }),
        asked("P-11", "too long, declared", publish("").set("Content-Length", "1048577"), large()),
        asked(
            "P-11",
            "10 GiB, declared",
            publish("").set("Content-Length", "10737418240"),
            large(),
        ),
        asked("P-11", "too long, in chunks", chunked(&over), large()),
        asked("P-11", "as long as it may be", publish(" ".repeat(1 << 20)), {
            wrong(400, "bad_message")
        }),
        asked(
            "P-17",
            "a chunk extension of 1 MB",
            chunked(&format!("1;{}\r\nx\r\n0\r\n\r\n", "x".repeat(1_000_000))),
            status(400).header("connection", "close"),
        ),
        asked(
            "P-17",
            "100,000 chunks of a byte",
            chunked(&(chunk(1).repeat(100_000) + "0\r\n\r\n")),
            wrong(400, "bad_message"),
        ),
        asked(
            "P-17",
            "trailers of 64 KiB",
            chunked(&format!("1\r\nx\r\n0\r\nX-Long: {}\r\n\r\n", "x".repeat(65_536))),
            status(400).header("connection", "close"),
        ),
    ]
}

pub(super) fn framing() -> Vec<Row> {
    let body = "0\r\n\r\n";
    let chunked =
        |value: &str| publish(body).without("Content-Length").add("Transfer-Encoding", value);
    let refused = || status(400).header("connection", "close");
    let unread = || status(400).empty();
    vec![
        asked(
            "P-16",
            "a length and chunks",
            publish(body).add("Transfer-Encoding", "chunked"),
            status(400).code("bad_message").header("connection", "close"),
        ),
        asked("P-16", "two lengths", publish(MESSAGE).add("Content-Length", "3"), unread()),
        asked("P-16", "a length with a sign", publish("").set("Content-Length", "+5"), unread()),
        asked("P-16", "a negative length", publish("").set("Content-Length", "-1"), unread()),
        asked("P-16", "a length in words", publish("").set("Content-Length", "five"), unread()),
        asked(
            "P-16",
            "a length of 30 digits",
            publish("").set("Content-Length", "9".repeat(30)),
            unread(),
        ),
        asked("P-16", "xchunked", chunked("xchunked"), unread()),
        asked("P-16", "chunks, then something else", chunked("chunked, identity"), unread()),
        asked(
            "P-16",
            "a chunk size that overflows",
            {
                publish("ffffffffffffffff1\r\n")
                    .without("Content-Length")
                    .add("Transfer-Encoding", "chunked")
            },
            refused(),
        ),
        asked(
            "P-16",
            "a chunk size with a sign",
            {
                publish("+1\r\nx\r\n0\r\n\r\n")
                    .without("Content-Length")
                    .add("Transfer-Encoding", "chunked")
            },
            refused(),
        ),
        asked(
            "P-16",
            "a chunk longer than said",
            {
                publish("1\r\nxxxxx\r\n0\r\n\r\n")
                    .without("Content-Length")
                    .add("Transfer-Encoding", "chunked")
            },
            refused(),
        ),
        row(
            "P-13",
            "a body cut short, then the end",
            Door::Tcp,
            vec![
                Step::Send(publish(MESSAGE).set("Content-Length", "100").bytes()),
                Step::Finish,
                Step::Answer(status(400).code("bad_message").header("connection", "close")),
                ends(),
            ],
        ),
    ]
}

pub(super) fn ignored() -> Vec<Row> {
    let published = || status(200).no("set-cookie").no("access-control-allow-origin");
    vec![
        asked(
            "P-35",
            "Range, If-*, Upgrade, cookies",
            {
                publish(MESSAGE)
                    .add("Range", "bytes=0-1")
                    .add("If-None-Match", "*")
                    .add("If-Modified-Since", "Thu, 01 Jan 1970 00:00:00 GMT")
                    .add("Upgrade", "h2c")
                    .add("Cookie", "session=1")
            },
            published(),
        ),
        asked(
            "P-38",
            "a method override",
            publish(MESSAGE).add("X-HTTP-Method-Override", "DELETE"),
            published(),
        ),
        asked(
            "P-38",
            "a method override of GET",
            ask(PUBLISH).add("X-HTTP-Method-Override", "POST"),
            wrong(405, "bad_message"),
        ),
        asked(
            "P-39",
            "a request id of 1 KB: ours is used",
            ask("/v1/nothing").add("X-Request-Id", "x".repeat(1_024)),
            wrong(404, "not_found"),
        ),
        asked(
            "P-39",
            "a request id with a line break, encoded",
            ask("/v1/nothing").add("X-Request-Id", "a%0d%0aX-Evil: 1"),
            wrong(404, "not_found").no("x-evil"),
        ),
        asked(
            "P-40",
            "an X-Forwarded-For that is none",
            publish(MESSAGE).add("X-Forwarded-For", "\u{1F980}, ,,"),
            published(),
        ),
    ]
}
