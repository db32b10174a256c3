//! Answers to JSON.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::{
    ChannelState, Member, Occupancy, Payload, Publication, Published, Refusal, ServerAnswer,
};

use super::Route;
use super::read::{self, Info};
use crate::json;
use crate::server_api::{ApiError, ApiRequest};

pub(super) fn body(request: &ApiRequest<'_>, answer: &ServerAnswer) -> Result<String, ApiError> {
    match answer {
        ServerAnswer::Published(messages) => published(request, messages),
        ServerAnswer::Channels(states) => Ok(channels(states, read::query_info(request)?)),
        ServerAnswer::Channel(state) => Ok(channel(state, read::query_info(request)?)),
        ServerAnswer::Members(members) => Ok(users(members)),
        // Pusher tells no number, and has no history to ask for.
        ServerAnswer::Disconnected(_) | ServerAnswer::History(_) => Ok(String::from("{}")),
    }
}

/// Pusher has no words for half a success: the first refusal is the answer.
fn published(
    request: &ApiRequest<'_>,
    messages: &[Vec<Result<Published, Refusal>>],
) -> Result<String, ApiError> {
    let mut all = Vec::with_capacity(messages.len());
    for message in messages {
        let done: Result<Vec<&Published>, &Refusal> = message.iter().map(Result::as_ref).collect();
        all.push(done?);
    }
    if all.iter().flatten().all(|published| published.occupancy.is_none()) {
        return Ok(String::from("{}"));
    }
    let infos = read::event_infos(request)?;
    let mut out = String::from("{");
    if Route::of(request)? == Route::Events {
        out.push_str(r#""channels":{"#);
        for (index, published) in all.iter().flatten().enumerate() {
            json::comma(&mut out, index);
            json::write_string(&mut out, published.channel.as_str());
            out.push(':');
            attributes(&mut out, infos.first().copied().unwrap_or_default(), published.occupancy);
        }
        out.push_str("}}");
        return Ok(out);
    }
    out.push_str(r#""batch":["#);
    for (index, message) in all.iter().enumerate() {
        json::comma(&mut out, index);
        let info = infos.get(index).copied().unwrap_or_default();
        attributes(&mut out, info, message.first().and_then(|published| published.occupancy));
    }
    out.push_str("]}");
    Ok(out)
}

fn channels(states: &[ChannelState], info: Info) -> String {
    let mut out = String::from(r#"{"channels":{"#);
    // Channels of users are addresses, not channels that a tenant has made.
    let shown = states.iter().filter(|state| !state.channel.as_str().starts_with('#'));
    for (index, state) in shown.enumerate() {
        json::comma(&mut out, index);
        json::write_string(&mut out, state.channel.as_str());
        out.push(':');
        attributes(&mut out, info, Some(state.occupancy));
    }
    out.push_str("}}");
    out
}

fn channel(state: &ChannelState, info: Info) -> String {
    let mut out = format!(r#"{{"occupied":{}"#, state.occupancy.subscriptions > 0);
    let mut rest = String::new();
    attributes(&mut rest, info, Some(state.occupancy));
    let rest = rest.trim_start_matches('{').trim_end_matches('}');
    if !rest.is_empty() {
        out.push(',');
        out.push_str(rest);
    }
    if info.cache {
        match &state.cached {
            Some((publication, left)) => {
                out.push_str(r#","cache":{"data":"#);
                json::write_string(&mut out, &data(publication));
                write!(out, r#","ttl":{}}}"#, left.as_secs()).expect("a String takes all");
            }
            None => out.push_str(r#","cache":null"#),
        }
    }
    out.push('}');
    out
}

fn users(members: &[Member]) -> String {
    let mut out = String::from(r#"{"users":["#);
    for (index, member) in members.iter().enumerate() {
        json::comma(&mut out, index);
        out.push_str(r#"{"id":"#);
        json::write_string(&mut out, member.user.as_str());
        out.push('}');
    }
    out.push_str("]}");
    out
}

/// The counts asked for, as an object.
fn attributes(out: &mut String, info: Info, occupancy: Option<Occupancy>) {
    let occupancy = occupancy.unwrap_or_default();
    let subscriptions = info.subscription_count.then_some(occupancy.subscriptions);
    let users = occupancy.users.filter(|_| info.user_count);
    out.push('{');
    let mut index = 0;
    for (name, count) in [("subscription_count", subscriptions), ("user_count", users)] {
        if let Some(count) = count {
            json::comma(out, index);
            write!(out, r#""{name}":{count}"#).expect("a String takes all");
            index += 1;
        }
    }
    out.push('}');
}

fn data(publication: &Publication) -> String {
    match &publication.payload {
        Payload::Text(text) => String::from(text.as_str()),
        Payload::Binary(bytes) => STANDARD.encode(bytes),
    }
}
