//! What the gateway says, in Pusher's words.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::{
    Cached, ChannelName, CloseReason, Delivery, Member, Payload, Publication, Push, Reason,
    Refusal, Reply, ServerMessage, Source,
};

use super::channel::{Audience, Kind};
use crate::{Frame, Outbound, PushEncoder, json, server_api};

/// Says deliveries; the same bytes go to every Pusher subscriber.
#[derive(Debug)]
pub(super) struct Pushes;

impl PushEncoder for Pushes {
    fn encode(&self, delivery: &Delivery) -> Option<Frame> {
        let channel = &delivery.channel.channel;
        Some(match &delivery.push {
            Push::Publication(publication) => publication_frame(channel, publication),
            Push::MemberAdded(member) => {
                let mut data = String::from(r#"{"user_id":"#);
                json::write_string(&mut data, member.user.as_str());
                if let Some(info) = &member.info {
                    data.push_str(r#","user_info":"#);
                    data.push_str(info.as_str());
                }
                data.push('}');
                said("pusher_internal:member_added", channel, &data)
            }
            Push::MemberRemoved(user) => {
                let mut data = String::from(r#"{"user_id":"#);
                json::write_string(&mut data, user.as_str());
                data.push('}');
                said("pusher_internal:member_removed", channel, &data)
            }
            Push::SubscriptionCount(count) => subscription_count(channel, *count),
        })
    }
}

/// Says one thing to one client.
pub(super) fn encode(message: &ServerMessage, outbound: &mut Outbound) {
    match message {
        ServerMessage::Connected { connection, activity_timeout } => {
            let seconds = activity_timeout.as_secs().max(1);
            let data = format!(r#"{{"socket_id":"{connection}","activity_timeout":{seconds}}}"#);
            outbound.frames.push(data_frame("pusher:connection_established", &data));
        }
        ServerMessage::Reply { reply, .. } => encode_reply(reply, outbound),
        ServerMessage::Refused { verb, channel, refusal, .. } => {
            encode_refusal(verb, channel.as_ref(), refusal, outbound);
        }
        ServerMessage::Probe => outbound.frames.push(data_frame("pusher:ping", "{}")),
    }
}

/// `code` is `null` where Pusher has none for it.
pub(super) fn error_frame(code: Option<u16>, message: &str) -> Frame {
    let mut out = String::from(r#"{"event":"pusher:error","data":{"code":"#);
    match code {
        Some(code) => write!(out, "{code}").expect("a String takes all"),
        None => out.push_str("null"),
    }
    out.push_str(r#","message":"#);
    json::write_string(&mut out, message);
    out.push_str("}}");
    Frame::text(out)
}

fn encode_reply(reply: &Reply, outbound: &mut Outbound) {
    match reply {
        Reply::Subscribed { channel, members, cached, count } => {
            let data = members.as_deref().map_or_else(|| String::from("{}"), presence);
            let succeeded = said("pusher_internal:subscription_succeeded", channel, &data);
            outbound.frames.push(succeeded);
            match cached {
                Cached::Off => {}
                Cached::Miss => outbound.frames.push(said("pusher:cache_miss", channel, "")),
                Cached::Hit(last) => outbound.frames.push(publication_frame(channel, last)),
            }
            if let Some(count) = count {
                outbound.frames.push(subscription_count(channel, *count));
            }
        }
        // Pusher confirms neither.
        Reply::Unsubscribed { .. } | Reply::Published => {}
        Reply::SignedIn { data: user_data } => {
            let mut data = String::from(r#"{"user_data":"#);
            json::write_string(&mut data, user_data);
            data.push('}');
            outbound.frames.push(data_frame("pusher:signin_success", &data));
        }
    }
}

fn encode_refusal(
    verb: &str,
    channel: Option<&ChannelName>,
    refusal: &Refusal,
    outbound: &mut Outbound,
) {
    let denied = matches!(refusal.reason, Reason::Unauthorized | Reason::Forbidden);
    match (verb, channel) {
        // `decode` names a channel with subscriptions only.
        ("subscribe" | UNREAD, Some(channel)) => {
            outbound.frames.push(subscription_error(channel, refusal));
        }
        // The farewell says 4009 and why; a frame of our own would say it twice.
        (SIGN_IN, _) if denied => outbound.close = Some(CloseReason::Unauthorized),
        (SIGN_IN, _) if refusal.reason == Reason::Conflict => {
            outbound.frames.push(error_frame(Some(4009), &in_words(refusal)));
        }
        ("publish", _) if refusal.reason == Reason::RateLimited => {
            outbound.frames.push(error_frame(Some(4301), &in_words(refusal)));
        }
        _ => {
            let message = format!("{}: {}", refusal.reason.word(), in_words(refusal));
            outbound.frames.push(error_frame(None, &message));
        }
    }
}

/// What a refusal says of a message that could not be read.
const UNREAD: &str = "message";
const SIGN_IN: &str = "sign-in";

fn subscription_error(channel: &ChannelName, refusal: &Refusal) -> Frame {
    let kind = match refusal.reason {
        Reason::Unauthorized | Reason::Forbidden => "AuthError",
        Reason::TooLarge | Reason::LimitExceeded | Reason::RateLimited => "LimitReached",
        Reason::IdempotencyFull | Reason::Unavailable => "Unavailable",
        Reason::BadMessage
        | Reason::UnknownType
        | Reason::BadChannel
        | Reason::BadEvent
        | Reason::NotSubscribed
        | Reason::NotFound
        | Reason::Conflict => "InvalidSubscription",
    };
    let mut data = format!(r#"{{"type":"{kind}","error":"#);
    json::write_string(&mut data, &in_words(refusal));
    write!(data, r#","status":{}}}"#, server_api::status(refusal.reason))
        .expect("a String takes all");
    said("pusher:subscription_error", channel, &data)
}

/// The detail, when to try again, and, where the client may know it, the rule that decided.
fn in_words(refusal: &Refusal) -> String {
    let mut words = String::from(refusal.detail);
    if let Some(seconds) = refusal.retry_after_seconds() {
        write!(words, ", try again in {seconds} s").expect("a String takes all");
    }
    if let Some(decision) = &refusal.decision {
        write!(words, " (rule `{}`: {})", decision.pattern, decision.clause)
            .expect("a String takes all");
    }
    words
}

/// Members by distinct user; ids stay strings, since they are keys of an object as well.
fn presence(members: &[Member]) -> String {
    let mut data = String::from(r#"{"presence":{"ids":["#);
    for (index, member) in members.iter().enumerate() {
        json::comma(&mut data, index);
        json::write_string(&mut data, member.user.as_str());
    }
    data.push_str(r#"],"hash":{"#);
    for (index, member) in members.iter().enumerate() {
        json::comma(&mut data, index);
        json::write_string(&mut data, member.user.as_str());
        data.push(':');
        data.push_str(member.info.as_ref().map_or("null", |info| info.as_str()));
    }
    write!(data, r#"}},"count":{}}}}}"#, members.len()).expect("a String takes all");
    data
}

/// The hot path: one String, grown at most once for payloads that need few escapes.
fn publication_frame(channel: &ChannelName, publication: &Publication) -> Frame {
    let payload = publication.payload.len();
    let mut out = String::with_capacity(payload + payload / 4 + 256);
    let event = publication.event.as_ref().map_or("message", |event| event.as_str());
    begin(&mut out, event, channel);
    match &publication.payload {
        Payload::Text(text) => json::write_string(&mut out, text.as_str()),
        Payload::Binary(bytes) => {
            out.push('"');
            STANDARD.encode_string(bytes, &mut out);
            out.push_str(r#"","enc":"base64"#);
            out.push('"');
        }
    }
    if let Source::Client { user: Some(user) } = &publication.source
        && Kind::of(channel).audience == Audience::Presence
    {
        out.push_str(r#","user_id":"#);
        json::write_string(&mut out, user.as_str());
    }
    out.push('}');
    Frame::text(out)
}

fn subscription_count(channel: &ChannelName, count: u64) -> Frame {
    let data = format!(r#"{{"subscription_count":{count}}}"#);
    said("pusher_internal:subscription_count", channel, &data)
}

/// A frame on a channel; `data` is always a JSON string, as Pusher's own servers send it.
fn said(event: &str, channel: &ChannelName, data: &str) -> Frame {
    let mut out = String::with_capacity(data.len() + data.len() / 4 + 256);
    begin(&mut out, event, channel);
    json::write_string(&mut out, data);
    out.push('}');
    Frame::text(out)
}

/// A frame on no channel.
fn data_frame(event: &str, data: &str) -> Frame {
    let mut out = format!(r#"{{"event":"{event}","data":"#);
    json::write_string(&mut out, data);
    out.push('}');
    Frame::text(out)
}

fn begin(out: &mut String, event: &str, channel: &ChannelName) {
    out.push_str(r#"{"event":"#);
    json::write_string(out, event);
    out.push_str(r#","channel":"#);
    json::write_string(out, channel.as_str());
    out.push_str(r#","data":"#);
}
