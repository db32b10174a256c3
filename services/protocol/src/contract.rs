//! What every dialect promises, as a suite that each runs in one line.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::{
    AppId, Cached, ChannelKey, ChannelName, CloseReason, Command, CommandId, ConnectionId,
    Delivery, EventName, Member, MessageId, Payload, Publication, Push, Reason, Refusal, Reply,
    ServerMessage, Source, Text, UserId, Verb,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::{Accepted, Codec, DecodeError, Frame, Handshake, Inbound, Outbound, Protocol};

/// What the suite must know of a dialect to talk with it.
#[derive(Clone, Copy, Debug)]
pub struct Example {
    /// `<path>?<query>` of a client that is let in.
    pub address: &'static str,
    /// Frames that clients send; the suite bends them.
    pub frames: &'static [&'static str],
    /// What a client of the dialect takes for the payload of a publication's frame.
    pub payload: fn(&Frame) -> Option<Payload>,
}

/// Runs the whole suite; panics at the first promise that does not hold.
pub fn run(protocol: &'static dyn Protocol, example: &Example) {
    it_has_a_name_of_its_own(protocol);
    its_heartbeat_has_time_to_answer(protocol);
    accepting_any_request_never_panics(protocol, example);
    decoding_any_frame_never_panics_and_stays_small(protocol, example);
    payloads_keep_their_bytes(protocol, example);
    every_message_can_be_encoded(protocol, example);
    every_close_reason_has_a_code_that_a_server_may_send(protocol);
    confirmation_comes_before_the_cached_publication(protocol, example);
}

/// Opens a conversation, as the gateway does.
pub fn accept(
    protocol: &dyn Protocol,
    address: &str,
    connection: ConnectionId,
) -> Option<Accepted> {
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    protocol.accept(&Handshake { path, query, connection })
}

fn it_has_a_name_of_its_own(protocol: &dyn Protocol) {
    let name = protocol.name();
    let lower_case = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase());
    assert!(lower_case, "{name:?} is not one lower-case word");
    let found = crate::find(name).map(Protocol::name);
    assert_eq!(found, Some(name), "the dialect is not in PROTOCOLS");
    let same = crate::PROTOCOLS.iter().filter(|other| other.name() == name).count();
    assert_eq!(same, 1, "two dialects are called {name}");
}

fn its_heartbeat_has_time_to_answer(protocol: &dyn Protocol) {
    let heartbeat = protocol.heartbeat();
    assert!(heartbeat.idle >= Duration::from_secs(1), "{heartbeat:?}");
    assert!(heartbeat.answer >= Duration::from_secs(1), "{heartbeat:?}");
}

fn accepting_any_request_never_panics(protocol: &dyn Protocol, example: &Example) {
    let (path, query) = example.address.split_once('?').unwrap_or((example.address, ""));
    check(&(bent(path), bent(query)), |(path, query)| {
        let connection = ConnectionId(7);
        // Whatever it makes of it; a path of another dialect is none of its business.
        drop(protocol.accept(&Handshake { path: &path, query: &query, connection }));
    });
    assert!(accept(protocol, "/", ConnectionId(7)).is_none(), "the dialect takes every path");
}

fn decoding_any_frame_never_panics_and_stays_small(protocol: &dyn Protocol, example: &Example) {
    let text = prop::sample::select(example.frames).prop_flat_map(bent);
    let text = prop_oneof![4 => text, 1 => any::<String>()].prop_map(Frame::text);
    let binary = prop::collection::vec(any::<u8>(), 0..200);
    let binary = binary.prop_map(|bytes| Frame::Binary(Bytes::from(bytes)));
    let frames = prop::collection::vec(prop_oneof![8 => text, 1 => binary], 1..8);
    check(&frames, |frames| {
        let mut codec = codec(protocol, example);
        let bytes: usize = frames.iter().map(|frame| frame.as_bytes().len()).sum();
        let mut inbound = Inbound::default();
        for frame in frames {
            if let Err(DecodeError::Close(_)) = codec.decode(frame, &mut inbound) {
                break;
            }
        }
        let held = inbound.commands.iter().map(command_bytes).sum::<usize>()
            + inbound.replies.iter().map(|frame| frame.as_bytes().len()).sum::<usize>();
        assert!(held <= 8 * bytes + 4096, "{held} bytes held for {bytes} bytes sent");
    });
}

fn payloads_keep_their_bytes(protocol: &dyn Protocol, example: &Example) {
    let encoder = protocol.push_encoder();
    check(&payload(), |payload| {
        let publication = Arc::new(publication(payload.clone()));
        let delivery = delivery(Push::Publication(Arc::clone(&publication)));
        let frame = encoder.encode(&delivery).expect("a dialect has a word for publications");
        assert_eq!((example.payload)(&frame), Some(payload), "in {frame:?}");
        assert_eq!(encoder.encode(&delivery), Some(frame), "the same delivery, other bytes");
    });
}

fn every_message_can_be_encoded(protocol: &dyn Protocol, example: &Example) {
    for message in messages() {
        let mut outbound = Outbound::default();
        codec(protocol, example).encode(&message, &mut outbound);
    }
    for push in [
        Push::MemberAdded(member()),
        Push::MemberRemoved(member().user),
        Push::SubscriptionCount(u64::MAX),
    ] {
        drop(protocol.push_encoder().encode(&delivery(push)));
    }
}

fn every_close_reason_has_a_code_that_a_server_may_send(protocol: &dyn Protocol) {
    for reason in CloseReason::ALL {
        let farewell = protocol.farewell(reason);
        let allowed = matches!(farewell.code, 1000..=1003 | 1007..=1014 | 3000..=4999);
        assert!(allowed, "{reason:?}: a server may not send {}", farewell.code);
        assert!(farewell.text.is_ascii(), "{reason:?}: {:?} is not ASCII", farewell.text);
        assert!(!farewell.text.is_empty(), "{reason:?} says nothing");
        assert!(farewell.text.len() <= 123, "{reason:?}: {:?} is too long", farewell.text);
    }
}

/// The hub's part of this promise is the order of its inbox; the dialect's is the order within one
/// reply.
fn confirmation_comes_before_the_cached_publication(protocol: &dyn Protocol, example: &Example) {
    let last = Arc::new(publication(Payload::text("last")));
    let pushed = protocol
        .push_encoder()
        .encode(&delivery(Push::Publication(Arc::clone(&last))))
        .expect("a dialect has a word for publications");
    let mut frames = subscribed(protocol, example, Cached::Off);
    frames.push(pushed);
    assert_eq!(subscribed(protocol, example, Cached::Hit(last)), frames);
}

fn subscribed(protocol: &dyn Protocol, example: &Example, cached: Cached) -> Vec<Frame> {
    let reply = Reply::Subscribed { channel: channel(), members: None, cached, count: None };
    let mut outbound = Outbound::default();
    codec(protocol, example).encode(&ServerMessage::Reply { id: None, reply }, &mut outbound);
    outbound.frames
}

/// One of each kind, and each reason to refuse.
fn messages() -> Vec<ServerMessage> {
    let reply = |reply| ServerMessage::Reply { id: Some(CommandId(1)), reply };
    let subscribed = |members, cached| {
        reply(Reply::Subscribed { channel: channel(), members, cached, count: Some(2) })
    };
    let activity_timeout = Duration::from_secs(120);
    let last = Arc::new(publication(Payload::Binary(Bytes::from_static(&[0, 255]))));
    let mut messages = vec![
        ServerMessage::Connected { connection: ConnectionId(u64::MAX), activity_timeout },
        ServerMessage::Probe,
        subscribed(None, Cached::Off),
        subscribed(Some(vec![member(), member()]), Cached::Miss),
        subscribed(Some(Vec::new()), Cached::Hit(last)),
        reply(Reply::Unsubscribed { channel: channel() }),
        reply(Reply::Published),
        reply(Reply::SignedIn { data: String::from(r#"{"id":"7"}"#) }),
    ];
    for reason in Reason::ALL {
        for verb in ["subscribe", "unsubscribe", "publish", "sign-in", "message"] {
            for channel in [None, Some(channel())] {
                let refusal = Refusal::new(reason, "a detail").retry_after(activity_timeout);
                messages.push(ServerMessage::Refused { id: None, verb, channel, refusal });
            }
        }
    }
    messages
}

fn check<S>(strategy: &S, test: impl Fn(S::Value))
where
    S: Strategy<Value: Clone + std::fmt::Debug>,
{
    let config = Config { failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(strategy, |value| {
        test(value);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

/// A text with a piece of it replaced.
fn bent(text: &str) -> impl Strategy<Value = String> + use<> {
    let chars: Vec<char> = text.chars().collect();
    let place = 0..=chars.len();
    (place.clone(), place, "[\\PC\u{0}\"\\\\%&=\\[\\]{}]{0,8}").prop_map(
        move |(one, other, new)| {
            let (from, to) = (one.min(other), one.max(other));
            let to = if to - from > 12 { from } else { to };
            chars[..from]
                .iter()
                .copied()
                .chain(new.chars())
                .chain(chars[to..].iter().copied())
                .collect()
        },
    )
}

fn payload() -> impl Strategy<Value = Payload> {
    prop_oneof![
        any::<String>().prop_map(Payload::text),
        "[\u{0}-\u{7f}\\PC\u{2028}\u{10ffff}]{0,40}".prop_map(Payload::text),
        prop::collection::vec(any::<u8>(), 0..100)
            .prop_map(|bytes| Payload::Binary(Bytes::from(bytes))),
    ]
}

fn publication(payload: Payload) -> Publication {
    Publication {
        id: MessageId(1),
        event: EventName::parse("an \"event\"").ok(),
        payload,
        exclude: None,
        source: Source::Client { user: Some(member().user) },
        position: None,
    }
}

fn delivery(push: Push) -> Delivery {
    Delivery { channel: ChannelKey::new(AppId(1), channel()), sequence: 1, push }
}

fn channel() -> ChannelName {
    ChannelName::parse("presence-room").expect("an allowed name")
}

fn member() -> Member {
    let user = UserId::parse("a \"user\" \u{1f600}").expect("an allowed id");
    Member { user, info: Some(Text::from(r#"{"name":"A"}"#)) }
}

fn codec(protocol: &dyn Protocol, example: &Example) -> Box<dyn Codec> {
    let accepted = accept(protocol, example.address, ConnectionId(7));
    let accepted = accepted.expect("the example's path is the dialect's");
    assert_eq!(accepted.refused, None, "the example is refused");
    accepted.codec
}

fn command_bytes(command: &Command) -> usize {
    let signature = |signature: &model::Signature| {
        signature.key.len() + signature.message.len() + signature.digest.len()
    };
    let member = |member: &Member| {
        member.user.as_str().len() + member.info.as_ref().map_or(0, |i| i.as_bytes().len())
    };
    let content = match &command.verb {
        Verb::Subscribe { signature: signed, presence, .. } => {
            let named = match presence {
                model::Presence::Member(named) => member(named),
                model::Presence::None | model::Presence::Oneself => 0,
            };
            signed.as_ref().map_or(0, signature) + named
        }
        Verb::Unsubscribe { .. } => 0,
        Verb::Publish { event, payload, .. } => {
            payload.len() + event.as_ref().map_or(0, |event| event.as_str().len())
        }
        Verb::SignIn { signature: signed, user, data } => {
            signature(signed) + member(user) + data.len()
        }
    };
    content + command.verb.channel().map_or(0, |channel| channel.as_str().len())
}
