//! F: frames of an upgraded socket. Close codes are the dialect's own (settled-gateway 11): what the
//! catalogue calls 4000, 4102 and 4201 is 1008, 4429 and 4201 to a raw client, 1008, 4100 and 4100
//! to a Pusher client.

use super::ROOMY;
use super::after::Watch;
use super::row::{Door, Row, Step, closed, ends, pusher, raw, row, then};
use super::socket::Frame;
use super::wire::{
    BINARY, CLOSE, CONTINUATION, FIN, Length, PING, TEXT, all, binary, close, frame, frame_in, get,
    header, masked, ping, pong, text, unmasked,
};

/// A frame's and a message's bound, as shipped.
const MAX: usize = 65_536;
const RSV1: u8 = 0x40;
const RSV2: u8 = 0x20;
const RSV3: u8 = 0x10;

#[tokio::test]
async fn frames_are_answered_as_the_table_says() {
    let mut watch = Watch::start(ROOMY).await.expect("a gateway");
    watch.run(&table()).await;
}

pub(super) fn table() -> Vec<Row> {
    let parts = [headers(), lengths(), fragments(), texts(), closes(), rates(), strangers()];
    parts.into_iter().flatten().collect()
}

fn heard(text: &str) -> Vec<Step> {
    vec![Step::Frame(Frame::Text(String::from(text))), Step::Lives]
}

fn heard_bytes(bytes: Vec<u8>) -> Vec<Step> {
    vec![Step::Frame(Frame::Binary(bytes)), Step::Lives]
}

fn headers() -> Vec<Row> {
    let broken = || closed(1002);
    vec![
        raw("F-01", "unmasked text", unmasked(FIN | TEXT, b"x"), broken()),
        pusher("F-01", "unmasked text, Pusher", unmasked(FIN | TEXT, b"x"), broken()),
        raw("F-02", "unmasked ping", unmasked(FIN | PING, b"x"), broken()),
        raw("F-03", "RSV1, no extension", frame(FIN | RSV1 | TEXT, "x"), broken()),
        raw("F-04", "RSV2", frame(FIN | RSV2 | TEXT, "x"), broken()),
        raw("F-04", "RSV3", frame(FIN | RSV3 | TEXT, "x"), broken()),
        raw("F-05", "opcode 3", frame(FIN | 3, "x"), broken()),
        raw("F-05", "opcode 7", frame(FIN | 7, "x"), broken()),
        raw("F-06", "opcode 11", frame(FIN | 11, "x"), broken()),
        raw("F-06", "opcode 15", frame(FIN | 15, "x"), broken()),
        raw("F-07", "a ping of 126 bytes", ping([7; 126]), broken()),
        raw("F-08", "a ping of 125 bytes: no fault", ping([7; 125]), {
            [Step::Frame(Frame::Pong(vec![7; 125])), Step::Lives]
        }),
        raw("F-09", "a fragmented ping", frame(PING, "x"), broken()),
        raw("F-09", "a fragmented close", frame(CLOSE, [3, 232]), broken()),
        raw("F-10", "an unasked pong: ignored", pong("x"), [Step::Lives]),
        raw("F-11", "nothing to continue", frame(FIN | CONTINUATION, "x"), broken()),
        raw("F-12", "a text within a message", all([frame(TEXT, "a"), text("b")]), broken()),
        raw(
            "F-13",
            "a ping within a message: no fault",
            all([frame(TEXT, "a"), ping("p"), frame(FIN | CONTINUATION, "b")]),
            then(vec![Step::Frame(Frame::Pong(b"p".to_vec()))], heard("ab")),
        ),
        raw(
            "F-28",
            "a deflate bomb without deflate",
            frame(FIN | RSV1 | BINARY, [&[0xec, 0xc1, 1, 1][..], &[0; 64]].concat()),
            broken(),
        ),
    ]
}

fn lengths() -> Vec<Row> {
    let big = "x".repeat(MAX);
    let first = |bytes: usize| frame(TEXT, "x".repeat(bytes));
    let next = |bytes: usize| frame(CONTINUATION, "x".repeat(bytes));
    let claim = |length: u64| header(Length::Long, FIN | TEXT, length);
    let too_big = || closed(1009);
    vec![
        raw(
            "F-14",
            "5 bytes in the 16-bit form: accepted, a documented deviation",
            frame_in(Length::Medium, FIN | TEXT, "hello"),
            heard("hello"),
        ),
        raw(
            "F-15",
            "5 bytes in the 64-bit form: accepted too",
            frame_in(Length::Long, FIN | TEXT, "hello"),
            heard("hello"),
        ),
        raw("F-20", "exactly the bound: no fault", text(&big), heard(&big)),
        raw("F-21", "one byte more", text("x".repeat(MAX + 1)), too_big()),
        pusher("F-21", "one byte more, Pusher", text("x".repeat(MAX + 1)), too_big()),
        raw(
            "F-22",
            "three fragments with one byte more",
            all([first(30_000), next(30_000), next(MAX + 1 - 60_000)]),
            too_big(),
        ),
        raw("F-23", "a full first fragment, then more", all([first(MAX), next(1)]), too_big()),
        raw("F-24", "a length with the top bit", claim(1 << 63), too_big()),
        raw("F-25", "a length of 2^64 - 1", claim(u64::MAX), too_big()),
        raw("F-26", "claims 1 GiB, sends nothing", claim(1 << 30), too_big()),
        raw("F-26", "a binary claims 1 GiB", header(Length::Long, FIN | BINARY, 1 << 30), {
            too_big()
        }),
    ]
}

fn fragments() -> Vec<Row> {
    let many = |count: usize, payload: &str| {
        let rest = frame(CONTINUATION, payload).repeat(count - 1);
        [frame(TEXT, payload), rest].concat()
    };
    let last = || frame(FIN | CONTINUATION, "");
    vec![
        raw("F-30", "64 fragments: no fault", all([many(63, "x"), last()]), {
            heard(&"x".repeat(63))
        }),
        raw("F-30", "1,000 empty fragments: 1008 at the 65th", all([many(999, ""), last()]), {
            closed(1008)
        }),
        pusher("F-30", "1,000 empty fragments, Pusher", all([many(999, ""), last()]), {
            closed(1008)
        }),
        raw("F-31", "60,000 fragments of a byte, no end", many(60_000, "x"), closed(1008)),
        raw(
            "F-36",
            "a character over two fragments: no fault",
            all([frame(TEXT, [0xe2, 0x82]), frame(FIN | CONTINUATION, [0xac])]),
            heard("\u{20ac}"),
        ),
        raw("F-37", "bad UTF-8 in the first of many", frame(TEXT, [0xff]), closed(1007)),
    ]
}

fn texts() -> Vec<Row> {
    let bad = || closed(1007);
    vec![
        raw("F-34", "0xFF", text([0xff]), bad()),
        raw("F-34", "overlong", text([0xc0, 0xaf]), bad()),
        raw("F-34", "a surrogate", text([0xed, 0xa0, 0x80]), bad()),
        raw("F-34", "beyond Unicode", text([0xf4, 0x90, 0x80, 0x80]), bad()),
        pusher("F-34", "0xFF, Pusher", text([0xff]), bad()),
        raw("F-35", "ends within a character", text([b'x', 0xe2, 0x82]), bad()),
        raw("F-38", "bad UTF-8 in a binary: no fault", binary([0xff, 0xfe]), {
            heard_bytes(vec![0xff, 0xfe])
        }),
        raw("F-39", "U+0000, U+FEFF, U+FFFE: no fault", text("\0\u{feff}\u{fffe}"), {
            heard("\0\u{feff}\u{fffe}")
        }),
        pusher("F-18", "a binary on a JSON session", binary("{}"), closed(1003)),
    ]
}

fn closes() -> Vec<Row> {
    let echoed = |code: u16| vec![Step::Close(code), ends()];
    let wrong = [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535];
    let mut rows: Vec<Row> = wrong
        .map(|code| raw("F-48", "a close code that nobody sends", close(code, ""), closed(1002)))
        .into();
    rows.extend([
        raw("F-45", "close 1000", close(1000, "bye"), echoed(1000)),
        raw("F-45", "close 3000", close(3000, ""), echoed(3000)),
        raw("F-45", "close 4999", close(4999, ""), echoed(4999)),
        raw("F-46", "a close without a code", frame(FIN | CLOSE, ""), {
            [Step::Frame(Frame::Close(None, String::new())), ends()]
        }),
        raw("F-47", "a close of one byte", frame(FIN | CLOSE, [3]), closed(1002)),
        raw("F-49", "a reason that is not UTF-8", close(1000, [0xff]), closed(1007)),
        raw("F-50", "a reason of 124 bytes", close(1000, [b'x'; 124]), closed(1002)),
        raw("F-51", "data after the close", all([close(1000, ""), text("x")]), echoed(1000)),
        raw("F-51", "two closes", all([close(1000, ""), close(1001, "")]), echoed(1000)),
        row("F-52", "half of the stream ends", Door::Raw, vec![Step::Finish, ends()]),
        row("F-52", "half of it ends, Pusher", Door::Pusher, vec![Step::Finish, ends()]),
        row("F-52", "it ends within a frame", Door::Raw, {
            vec![Step::Send(text("hello")[..8].to_vec()), Step::Finish, ends()]
        }),
        raw(
            "F-55",
            "never answers our close: the socket is given up all the same",
            frame(FIN | 3, ""),
            [Step::Close(1002), Step::LetsGo],
        ),
        raw("F-55", "goes on sending after our close", frame(FIN | 3, ""), {
            [Step::Close(1002), Step::Send(text("x").repeat(50_000)), Step::LetsGo]
        }),
    ]);
    rows
}

fn rates() -> Vec<Row> {
    let pings = || all((0..1_000).map(|n| ping(format!("{n}"))));
    let pusher_ping = text(r#"{"event":"pusher:ping","data":{}}"#);
    let over = |code: u16, answered| vec![Step::Until { code, answered }, ends()];
    let said = || Step::Event("pusher:error", vec![String::from(r#""code":4100,"#)]);
    let mut first: Vec<Step> =
        (0..20).map(|n| Step::Frame(Frame::Pong(format!("{n}").into_bytes()))).collect();
    first.push(Step::Until { code: 4429, answered: 0..=5 });
    let subscribe =
        |verb: &str| text(format!(r#"{{"event":"pusher:{verb}","data":{{"channel":"m24"}}}}"#));
    vec![
        raw("F-40", "1,000 pings in one write: twenty are answered", pings(), first),
        pusher("F-40", "1,000 pings, Pusher", pings(), over(4100, 21..=26)),
        raw("F-42", "1,000 unasked pongs", pong("").repeat(1_000), over(4429, 0..=0)),
        pusher("F-42", "1,000 unasked pongs, Pusher", pong("").repeat(1_000), {
            vec![said(), Step::Close(4100), ends()]
        }),
        raw("F-43", "10,000 empty texts", text("").repeat(10_000), over(4429, 0..=600)),
        row(
            "F-44",
            "64 KiB messages without a pause: bounded by the publish rate, there is no byte budget",
            Door::Publisher,
            then(vec![Step::Send(text("x".repeat(MAX)).repeat(200))], closed(4429)),
        ),
        pusher("M-42", "1,000 pings of the dialect", pusher_ping.repeat(1_000), {
            over(4100, 401..=800)
        }),
        pusher(
            "M-24",
            "subscribes and unsubscribes 1,000 times",
            all([subscribe("subscribe"), subscribe("unsubscribe")]).repeat(1_000),
            over(4100, 201..=800),
        ),
    ]
}

fn strangers() -> Vec<Row> {
    let hello = [&b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03"[..], &[7; 196]].concat();
    vec![
        raw("F-56", "an HTTP request after the upgrade", get("/").bytes(), closed(1002)),
        pusher("F-56", "an HTTP request, Pusher", get("/").bytes(), closed(1002)),
        raw("F-56", "a TLS hello after the upgrade", hello, closed(1002)),
        raw("F-56", "300 bytes of 0xFF", vec![0xff; 300], closed(1002)),
        raw("F-56", "300 bytes of 0", vec![0; 300], closed(1002)),
        raw(
            "F-56",
            "a mask that hides nothing",
            {
                let mut zero = header(Length::Short, FIN | TEXT, 2);
                zero[2..6].fill(0);
                zero.extend(b"ok");
                zero
            },
            heard("ok"),
        ),
        raw(
            "F-13",
            "bytes one by one are one message",
            {
                let mut bytes = header(Length::Short, FIN | TEXT, 2);
                bytes.extend(masked(b"ab"));
                bytes
            },
            heard("ab"),
        ),
    ]
}
