//! One row of a table: what is sent, and the exact answer, step by step.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use tests::client::pusher_auth;

use super::after::Watch;
use super::socket::{Frame, PATIENCE, Response, Socket};
use super::wire::{ACCEPT, Request, ping, text, upgrade};

pub(super) struct Row {
    pub(super) id: &'static str,
    /// What is wrong with it; and where the answer is not the catalogue's, why.
    pub(super) what: &'static str,
    door: Door,
    steps: Vec<Step>,
    /// How long it may take in all.
    within: Option<Duration>,
}

/// How far the socket is when the first step begins.
#[derive(Clone, Copy, Debug)]
pub(super) enum Door {
    /// Connected, no more.
    Tcp,
    /// A raw client that gets what it sends: it publishes to the channel that it is subscribed to.
    Raw,
    /// A raw client that only publishes.
    Publisher,
    /// A Pusher client that was greeted.
    Pusher,
}

pub(super) enum Step {
    Send(Vec<u8>),
    /// A text message that depends on the connection's socket id.
    Say(Box<dyn Fn(&str) -> String>),
    /// Sends byte by byte, ten a second, until the stream ends.
    Dribble(Vec<u8>),
    /// Ends our half of the stream.
    Finish,
    /// Lets time pass without a byte.
    Wait(Duration),
    /// Exactly this response comes.
    Answer(Answer),
    /// Exactly this frame comes.
    Frame(Frame),
    /// A close frame with this code comes, and a text in ASCII of at most 123 bytes.
    Close(u16),
    /// A Pusher event comes: its name, and pieces that its text must have.
    Event(&'static str, Vec<String>),
    /// Other frames come, so many of them, and then a close frame with this code.
    Until {
        code: u16,
        answered: std::ops::RangeInclusive<usize>,
    },
    /// The stream ends, without another byte, within this time.
    Ends(Duration),
    /// A TLS alert comes, and the stream ends.
    Alert,
    /// The connection still answers a ping, and nothing came before the answer.
    Lives,
    /// The gateway gives its socket up within 2 s, though we keep ours.
    LetsGo,
}

/// An HTTP response, as far as it is promised.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    status: u16,
    headers: Vec<(&'static str, &'static str)>,
    absent: Vec<&'static str>,
    body: Body,
}

#[derive(Clone, Debug)]
enum Body {
    Any,
    /// The HTTP parser's own refusals have none.
    Empty,
    /// `application/problem+json` with this code.
    Problem(&'static str),
    /// Plain text with this in it.
    Plain(&'static str),
    /// JSON, exactly.
    Json(&'static str),
    /// JSON with this in it.
    JsonWith(&'static str),
}

pub(super) fn row(id: &'static str, what: &'static str, door: Door, steps: Vec<Step>) -> Row {
    Row { id, what, door, steps, within: None }
}

/// A request on a socket of its own, and its answer; the socket ends unless it was upgraded.
pub(super) fn http(
    id: &'static str,
    what: &'static str,
    request: impl Into<Vec<u8>>,
    answer: Answer,
) -> Row {
    let last = if answer.status == 101 { Step::Lives } else { ends() };
    row(id, what, Door::Tcp, vec![Step::Send(request.into()), Step::Answer(answer), last])
}

/// As [`http`], for an answer after which the socket goes on.
pub(super) fn http_kept(
    id: &'static str,
    what: &'static str,
    request: impl Into<Vec<u8>>,
    answer: Answer,
) -> Row {
    let again = vec![
        Step::Send(super::wire::get("/still-there").bytes()),
        Step::Answer(status(404).code("not_found")),
    ];
    let mut steps = vec![Step::Send(request.into()), Step::Answer(answer)];
    steps.extend(again);
    row(id, what, Door::Tcp, steps)
}

/// Bytes to a raw client's connection, and what follows.
pub(super) fn raw(
    id: &'static str,
    what: &'static str,
    bytes: Vec<u8>,
    then: impl IntoIterator<Item = Step>,
) -> Row {
    row(id, what, Door::Raw, std::iter::once(Step::Send(bytes)).chain(then).collect())
}

/// As [`raw`], on a Pusher client's connection.
pub(super) fn pusher(
    id: &'static str,
    what: &'static str,
    bytes: Vec<u8>,
    then: impl IntoIterator<Item = Step>,
) -> Row {
    row(id, what, Door::Pusher, std::iter::once(Step::Send(bytes)).chain(then).collect())
}

/// One after the other.
pub(super) fn then(mut first: Vec<Step>, last: Vec<Step>) -> Vec<Step> {
    first.extend(last);
    first
}

pub(super) fn ends() -> Step {
    Step::Ends(PATIENCE)
}

/// The connection is closed with this code, and the socket ends.
pub(super) fn closed(code: u16) -> Vec<Step> {
    vec![Step::Close(code), ends()]
}

/// As [`closed`], in Pusher's words: the error first.
pub(super) fn pusher_closed(code: u16) -> Vec<Step> {
    let error = Step::Event("pusher:error", vec![format!(r#""code":{code},"#)]);
    vec![error, Step::Close(code), ends()]
}

/// A Pusher message was refused, for this reason; the connection lives.
pub(super) fn refused(reason: &str) -> Vec<Step> {
    vec![error(reason), Step::Lives]
}

pub(super) fn error(reason: &str) -> Step {
    let message = format!(r#""code":null,"message":"{reason}: "#);
    Step::Event("pusher:error", vec![message])
}

/// A subscription was refused, with this type and status; the connection lives.
pub(super) fn no_subscription(channel: &str, kind: &str, status: u16) -> Vec<Step> {
    let pieces = vec![
        format!(r#""channel":"{channel}""#),
        format!(r#"\"type\":\"{kind}\""#),
        format!(r#"\"status\":{status}"#),
    ];
    vec![Step::Event("pusher:subscription_error", pieces), Step::Lives]
}

pub(super) fn subscribed(channel: &str) -> Step {
    let channel = format!(r#""channel":"{channel}""#);
    Step::Event("pusher_internal:subscription_succeeded", vec![channel])
}

/// Every piece given is owned by the step, so that rows may build it.
pub(super) fn say(message: impl Fn(&str) -> String + 'static) -> Step {
    Step::Say(Box::new(message))
}

pub(super) fn status(status: u16) -> Answer {
    Answer { status, headers: Vec::new(), absent: Vec::new(), body: Body::Any }
}

pub(super) fn switched() -> Answer {
    status(101).header("sec-websocket-accept", ACCEPT).no("sec-websocket-extensions")
}

impl Answer {
    pub(super) fn code(self, code: &'static str) -> Self {
        Self { body: Body::Problem(code), ..self }
    }

    pub(super) fn empty(self) -> Self {
        Self { body: Body::Empty, ..self }
    }

    pub(super) fn plain(self, piece: &'static str) -> Self {
        Self { body: Body::Plain(piece), ..self }
    }

    pub(super) fn json(self, text: &'static str) -> Self {
        Self { body: Body::Json(text), ..self }
    }

    pub(super) fn json_with(self, piece: &'static str) -> Self {
        Self { body: Body::JsonWith(piece), ..self }
    }

    /// Whether it says that the socket ends.
    pub(super) fn closes(&self) -> bool {
        matches!(self.body, Body::Empty) || self.headers.contains(&("connection", "close"))
    }

    pub(super) fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(super) fn no(mut self, name: &'static str) -> Self {
        self.absent.push(name);
        self
    }

    pub(super) fn check(&self, response: &Response) -> anyhow::Result<()> {
        let shown = format!("{} {:?} {}", response.status, response.headers, response.text());
        ensure!(response.status == self.status, "expected {}, got {shown}", self.status);
        for (name, value) in &self.headers {
            let held = response.header(name);
            ensure!(held == Some(value), "expected {name}: {value}, got {shown}");
        }
        for name in &self.absent {
            ensure!(response.header(name).is_none(), "unexpected {name}: {shown}");
        }
        self.body.check(response).with_context(|| format!("got {shown}"))
    }
}

impl Body {
    fn check(&self, response: &Response) -> anyhow::Result<()> {
        let content_type = response.header("content-type").unwrap_or_default();
        match self {
            Self::Any => {}
            Self::Empty => ensure!(response.body.is_empty(), "a body"),
            Self::Problem(code) => {
                ensure!(content_type == "application/problem+json", "no problem");
                let problem: Value = serde_json::from_slice(&response.body)?;
                ensure!(problem["code"] == *code, "not {code}");
                ensure!(problem["status"] == response.status, "another status within");
                let hex = |id: &&str| id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit());
                let id = problem["request_id"].as_str().filter(hex);
                ensure!(id.is_some() && id == response.header("x-request-id"), "no request id");
            }
            Self::Plain(piece) => {
                ensure!(content_type.starts_with("text/plain"), "no plain text");
                ensure!(response.text().contains(piece), "without {piece:?}");
            }
            Self::JsonWith(piece) => {
                ensure!(content_type.starts_with("application/json"), "no JSON");
                ensure!(response.text().contains(piece), "without {piece:?}");
            }
            Self::Json(text) => {
                ensure!(content_type.starts_with("application/json"), "no JSON");
                let (held, expected): (Value, Value) =
                    (serde_json::from_slice(&response.body)?, serde_json::from_str(text)?);
                ensure!(held == expected, "not {text}");
            }
        }
        Ok(())
    }
}

impl Row {
    pub(super) fn within(self, span: Duration) -> Self {
        Self { within: Some(span), ..self }
    }

    /// Plays the row on a socket of its own.
    pub(super) async fn run(&self, watch: &Watch) -> anyhow::Result<()> {
        let begun = tokio::time::Instant::now();
        let mut socket = Socket::connect(watch.gateway.address()).await?;
        let id = open(&mut socket, self.door, self.id).await.context("the row's own handshake")?;
        for (at, step) in self.steps.iter().enumerate() {
            play(&mut socket, step, &id, watch).await.with_context(|| format!("step {at}"))?;
        }
        let took = begun.elapsed();
        ensure!(self.within.is_none_or(|within| took <= within), "only after {took:?}");
        Ok(())
    }
}

/// Brings the socket to its door; a Pusher client's socket id.
async fn open(socket: &mut Socket, door: Door, row: &str) -> anyhow::Result<String> {
    let target = match door {
        Door::Tcp => return Ok(String::new()),
        Door::Raw => format!("/a/demo/raw?key=demokey&channel={row}&publish={row}"),
        Door::Publisher => format!("/a/demo/raw?key=demokey&publish={row}"),
        Door::Pusher => String::from("/app/demokey?protocol=7"),
    };
    enter(socket, &upgrade(&target)).await?;
    match door {
        Door::Pusher => greeted(socket).await,
        Door::Tcp | Door::Raw | Door::Publisher => Ok(String::new()),
    }
}

/// Upgrades the socket.
pub(super) async fn enter(socket: &mut Socket, request: &Request) -> anyhow::Result<()> {
    socket.send(&request.bytes()).await?;
    switched().check(&socket.response().await?)
}

/// Takes Pusher's greeting; gives the socket id.
pub(super) async fn greeted(socket: &mut Socket) -> anyhow::Result<String> {
    let Frame::Text(greeting) = socket.frame().await? else { bail!("no greeting") };
    let greeting: Value = serde_json::from_str(&greeting)?;
    let data: Value = serde_json::from_str(greeting["data"].as_str().context("data")?)?;
    Ok(String::from(data["socket_id"].as_str().context("socket_id")?))
}

async fn play(socket: &mut Socket, step: &Step, id: &str, watch: &Watch) -> anyhow::Result<()> {
    match step {
        Step::Send(bytes) => socket.send(bytes).await,
        Step::Say(message) => socket.send(&text(message(id))).await,
        Step::Dribble(bytes) => {
            for byte in bytes {
                socket.send(&[*byte]).await?;
                if socket.ends_within(Duration::from_millis(100)).await {
                    break;
                }
            }
            Ok(())
        }
        Step::Finish => {
            socket.finish().await;
            Ok(())
        }
        Step::Wait(span) => {
            tokio::time::sleep(*span).await;
            Ok(())
        }
        Step::Answer(answer) => answer.check(&socket.response().await?),
        Step::Frame(expected) => {
            let frame = socket.frame().await?;
            ensure!(frame == *expected, "expected {}, got {}", short(expected), short(&frame));
            Ok(())
        }
        Step::Close(code) => {
            let frame = socket.frame().await?;
            let Frame::Close(held, text) = &frame else { bail!("no close: {}", short(&frame)) };
            ensure!(*held == Some(*code), "expected close {code}, got {frame:?}");
            ensure!(text.is_ascii() && text.len() <= 123, "a close text of {} bytes", text.len());
            Ok(())
        }
        Step::Event(name, pieces) => {
            let frame = socket.frame().await?;
            let Frame::Text(text) = &frame else { bail!("no event: {}", short(&frame)) };
            let event: Value = serde_json::from_str(text)?;
            ensure!(event["event"] == *name, "expected {name}, got {text}");
            let missing = pieces.iter().find(|piece| !text.contains(&***piece));
            ensure!(missing.is_none(), "without {missing:?}: {text}");
            Ok(())
        }
        Step::Until { code, answered } => {
            let mut count = 0;
            let held = loop {
                match socket.frame().await.with_context(|| format!("after {count} frames"))? {
                    Frame::Close(held, _) => break held,
                    _ => count += 1,
                }
            };
            ensure!(held == Some(*code), "expected close {code}, got {held:?}");
            ensure!(answered.contains(&count), "{count} frames before the close");
            Ok(())
        }
        Step::Ends(within) => {
            let rest = socket.rest(*within).await?;
            ensure!(rest.is_empty(), "bytes before the end: {:?}", String::from_utf8_lossy(&rest));
            Ok(())
        }
        Step::Alert => {
            const ALERT: u8 = 0x15;
            let rest = socket.rest(PATIENCE).await?;
            ensure!(rest.first() == Some(&ALERT) && rest.len() == 7, "no alert: {rest:?}");
            Ok(())
        }
        Step::Lives => lives(socket).await,
        Step::LetsGo => watch.until_let_go(socket.local.port()).await,
    }
}

async fn lives(socket: &mut Socket) -> anyhow::Result<()> {
    const WORD: &[u8] = b"still there?";
    socket.send(&ping(WORD)).await?;
    let frame = socket.frame().await.context("no answer to a ping")?;
    ensure!(frame == Frame::Pong(WORD.to_vec()), "before the pong: {}", short(&frame));
    Ok(())
}

/// Frames of 64 KiB are not read in a terminal.
pub(super) fn short(frame: &Frame) -> String {
    let mut text = format!("{frame:?}");
    if text.len() > 300 {
        let cut = (0..=300).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(cut);
        text.push_str("...");
    }
    text
}

/// The `auth` of the demo app's key.
pub(super) fn sign(message: &str) -> String {
    pusher_auth("demokey", "demo-secret-0123456789", message)
}
