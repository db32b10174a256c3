//! Conversations as text files: a fixture is played to a dialect and must come out as it is.
//!
//! | line | says |
//! |---|---|
//! | `# text` | a comment |
//! | `@ <path>?<query>` | an upgrade request; the connection's id is 1234.1234 |
//! | `> <text>` / `>b <hex>` | the client sends a text or binary frame |
//! | `! <what> ...` | the gateway says something: see below |
//! | `= <command>` | the dialect read this, in model's words |
//! | `< <text>` / `<b <hex>` | the dialect sends a frame |
//! | `x <reason>` | the dialect ends the connection |
//!
//! `!` takes: `connected`, `probe`, `subscribed <channel> [<option>...]`, `unsubscribed <channel>`,
//! `published`, `signed-in <data>`, `refused <verb> <channel or -> <reason> <rule or -> <secs or ->`,
//! `event <channel> <event or -> <user, - or server> <text>`, `binary <channel> <hex>`,
//! `added <channel> <user> [<info>]`, `removed <channel> <user>`, `count <channel> <n>`,
//! `farewell <reason>`. Options of `subscribed`: `members`, `member=<user>:<info>`, `miss`,
//! `hit=<text>`, `count=<n>`.
//!
//! The lines with `=`, `<` and `x` are what is checked; `UPDATE=1` writes them anew.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::{
    AppId, Cached, ChannelKey, ChannelName, CloseReason, ConnectionId, Decision, Delivery,
    EventName, Member, MessageId, Payload, Publication, Push, Reason, Refusal, Reply,
    ServerMessage, Source, Text, UserId, Verb,
};

use crate::{Accepted, Codec, DecodeError, Frame, Handshake, Inbound, Outbound, Protocol};

/// The id of the connection in every transcript, as the signatures of Pusher's documentation use.
pub const CONNECTION: ConnectionId = ConnectionId(1234 << 32 | 1234);

/// Plays every `*.txt` of a folder; panics where one comes out otherwise.
pub fn check(protocol: &dyn Protocol, folder: &Path) {
    let entries = std::fs::read_dir(folder).expect("the folder of fixtures can be read");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("the folder of fixtures can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no fixture in {}", folder.display());
    let update = std::env::var_os("UPDATE").is_some();
    for path in paths {
        let written = std::fs::read_to_string(&path).expect("a fixture can be read");
        let played = play(protocol, &written);
        if update {
            std::fs::write(&path, played).expect("a fixture can be written");
            continue;
        }
        for (line, (is, should)) in played.lines().zip(written.lines()).enumerate() {
            assert_eq!(is, should, "{}:{}: UPDATE=1 rewrites", path.display(), line + 1);
        }
        assert_eq!(played, written, "{}: UPDATE=1 rewrites", path.display());
    }
}

/// The transcript with what is checked written anew.
pub fn play(protocol: &dyn Protocol, transcript: &str) -> String {
    let mut play = Play { protocol, codec: None, out: String::new() };
    for line in transcript.lines() {
        if matches!(line.get(..1), Some("=" | "<" | "x")) {
            continue;
        }
        play.line(line);
        match line.split_once(' ') {
            Some(("@", address)) => play.open(address),
            Some((">", text)) => play.sent(Frame::text(text)),
            Some((">b", hex)) => play.sent(Frame::Binary(bytes(hex))),
            Some(("!", what)) => play.said(what),
            _ => assert!(line.is_empty() || line.starts_with('#'), "not a line: {line}"),
        }
    }
    play.out
}

/// A conversation that goes on.
#[derive(Debug)]
struct Play<'a> {
    protocol: &'a dyn Protocol,
    codec: Option<Box<dyn Codec>>,
    out: String,
}

impl Play<'_> {
    fn open(&mut self, address: &str) {
        let (path, query) = address.split_once('?').unwrap_or((address, ""));
        let handshake = Handshake { path, query, connection: CONNECTION };
        let Some(accepted) = self.protocol.accept(&handshake) else {
            self.codec = None;
            return self.line("= not this dialect's");
        };
        let Accepted { app, admission, codec, commands, refused } = accepted;
        self.line(&format!("= {app:?}"));
        if admission != crate::Admission::default() {
            self.line(&format!("= {admission:?}"));
        }
        for command in &commands {
            self.verb(&command.verb);
        }
        if let Some(reason) = refused {
            self.close(reason);
        }
        self.codec = Some(codec);
    }

    fn sent(&mut self, frame: Frame) {
        let mut inbound = Inbound::default();
        let codec = self.codec.as_mut().expect("a transcript begins with @");
        let read = codec.decode(frame, &mut inbound);
        for command in &inbound.commands {
            self.verb(&command.verb);
        }
        for frame in &inbound.replies {
            self.frame(frame);
        }
        match read {
            Ok(()) => {}
            Err(DecodeError::Close(reason)) => self.close(reason),
            Err(DecodeError::Refused { channel, refusal }) => {
                self.line(&format!("= refused {}", refusal.reason.word()));
                self.encode(&ServerMessage::Refused {
                    id: None,
                    verb: "message",
                    channel,
                    refusal,
                });
            }
        }
    }

    fn said(&mut self, what: &str) {
        let mut words = Words(what);
        let kind = words.next();
        if kind == "farewell" {
            return self.close(close_reason(words.next()));
        }
        if let Some(push) = push(kind, &mut words) {
            let pushed = self.protocol.push_encoder().encode(&push);
            return pushed.iter().for_each(|frame| self.frame(frame));
        }
        self.encode(&message(kind, &mut words));
    }

    fn encode(&mut self, message: &ServerMessage) {
        let mut outbound = Outbound::default();
        let codec = self.codec.as_mut().expect("a transcript begins with @");
        codec.encode(message, &mut outbound);
        for frame in &outbound.frames {
            self.frame(frame);
        }
        if let Some(reason) = outbound.close {
            self.close(reason);
        }
    }

    fn close(&mut self, reason: CloseReason) {
        let farewell = self.protocol.farewell(reason);
        for frame in &farewell.frames {
            self.frame(frame);
        }
        self.line(&format!("x {} {} {}", reason.word(), farewell.code, farewell.text));
    }

    fn verb(&mut self, verb: &Verb) {
        self.line(&format!("= {verb:?}"));
    }

    fn frame(&mut self, frame: &Frame) {
        match frame {
            Frame::Text(text) => self.line(&format!("< {}", text.as_str())),
            Frame::Binary(bytes) => {
                let mut hex = String::from("<b ");
                for byte in bytes {
                    write!(hex, "{byte:02x}").expect("a String takes all");
                }
                self.line(&hex);
            }
        }
    }

    fn line(&mut self, line: &str) {
        self.out.push_str(line);
        self.out.push('\n');
    }
}

/// The words of a line, each up to the next space; the last may be taken with its spaces.
#[derive(Debug)]
struct Words<'a>(&'a str);

impl<'a> Words<'a> {
    fn next(&mut self) -> &'a str {
        let (word, rest) = self.0.split_once(' ').unwrap_or((self.0, ""));
        self.0 = rest;
        word
    }

    fn channel(&mut self) -> ChannelName {
        channel(self.next())
    }
}

fn push(kind: &str, words: &mut Words<'_>) -> Option<Delivery> {
    if !matches!(kind, "event" | "binary" | "added" | "removed" | "count") {
        return None;
    }
    let channel = words.channel();
    let push = match kind {
        "event" => {
            let event = EventName::parse(words.next()).ok().filter(|name| name.as_str() != "-");
            let source = match words.next() {
                "server" => Source::Server,
                "-" => Source::Client { user: None },
                user => Source::Client { user: Some(user_id(user)) },
            };
            Push::Publication(publication(event, Payload::text(words.0), source))
        }
        "binary" => {
            let payload = Payload::Binary(bytes(words.next()));
            Push::Publication(publication(None, payload, Source::Server))
        }
        "added" => {
            let user = user_id(words.next());
            let info = (!words.0.is_empty()).then(|| Text::from(words.0));
            Push::MemberAdded(Member { user, info })
        }
        "removed" => Push::MemberRemoved(user_id(words.next())),
        _ => Push::SubscriptionCount(number(words.next())),
    };
    Some(Delivery { channel: ChannelKey::new(AppId(1), channel), sequence: 1, push })
}

fn message(kind: &str, words: &mut Words<'_>) -> ServerMessage {
    let reply = match kind {
        "connected" => {
            let activity_timeout = Duration::from_secs(120);
            return ServerMessage::Connected { connection: CONNECTION, activity_timeout };
        }
        "probe" => return ServerMessage::Probe,
        "refused" => return refused(words),
        "subscribed" => subscribed(words),
        "unsubscribed" => Reply::Unsubscribed { channel: words.channel() },
        "published" => Reply::Published,
        "signed-in" => Reply::SignedIn { data: String::from(words.0) },
        other => panic!("the gateway does not say {other:?}"),
    };
    ServerMessage::Reply { id: None, reply }
}

fn subscribed(words: &mut Words<'_>) -> Reply {
    let channel = words.channel();
    let mut members = None;
    let mut cached = Cached::Off;
    let mut count = None;
    while !words.0.is_empty() {
        let option = words.next();
        match option.split_once('=').unwrap_or((option, "")) {
            ("members", "") => members = Some(Vec::new()),
            ("member", text) => {
                let (user, info) = text.split_once(':').unwrap_or((text, ""));
                let info = (!info.is_empty()).then(|| Text::from(info));
                let member = Member { user: user_id(user), info };
                members.get_or_insert_with(Vec::new).push(member);
            }
            ("miss", "") => cached = Cached::Miss,
            ("hit", text) => {
                let event = EventName::parse("last").ok();
                cached = Cached::Hit(publication(event, Payload::text(text), Source::Server));
            }
            ("count", text) => count = Some(number(text)),
            _ => panic!("not an option of subscribed: {option}"),
        }
    }
    Reply::Subscribed { channel, members, cached, count }
}

fn refused(words: &mut Words<'_>) -> ServerMessage {
    let verb = match words.next() {
        "subscribe" => "subscribe",
        "unsubscribe" => "unsubscribe",
        "publish" => "publish",
        "sign-in" => "sign-in",
        "message" => "message",
        other => panic!("not a verb: {other}"),
    };
    let channel = Some(words.next()).filter(|name| *name != "-").map(channel);
    let word = words.next();
    let reason = Reason::ALL.into_iter().find(|reason| reason.word() == word);
    let mut refusal = Refusal::new(reason.expect("a reason's word"), "a detail");
    let rule = Some(words.next()).filter(|rule| !matches!(*rule, "" | "-"));
    refusal.decision =
        rule.map(|pattern| Decision { pattern: Arc::from(pattern), clause: "subscribe = signed" });
    let seconds = Some(words.next()).filter(|seconds| !matches!(*seconds, "" | "-"));
    refusal.retry_after = seconds.map(|seconds| Duration::from_secs(number(seconds)));
    ServerMessage::Refused { id: None, verb, channel, refusal }
}

fn publication(event: Option<EventName>, payload: Payload, source: Source) -> Arc<Publication> {
    let id = MessageId(1);
    Arc::new(Publication { id, event, payload, exclude: None, source, position: None })
}

fn channel(text: &str) -> ChannelName {
    ChannelName::user_in(text)
        .map(|user| ChannelName::of_user(&user))
        .unwrap_or_else(|| ChannelName::parse(text).expect("an allowed channel"))
}

fn user_id(text: &str) -> UserId {
    UserId::parse(text).expect("an allowed user id")
}

fn number(text: &str) -> u64 {
    text.parse().expect("a number")
}

fn close_reason(word: &str) -> CloseReason {
    let reason = CloseReason::ALL.into_iter().find(|reason| reason.word() == word);
    reason.expect("a close reason's word")
}

fn bytes(hex: &str) -> Bytes {
    let digit = |index| u8::from_str_radix(hex.get(index..index + 2).expect("pairs"), 16);
    (0..hex.len()).step_by(2).map(|index| digit(index).expect("hex digits")).collect()
}
