//! Requests to calls.

use std::borrow::Cow;

use model::{
    ChannelName, ConnectionId, EventName, Payload, Reason, Refusal, ServerCall, ServerPublish,
    Text, UserId,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Route, bad, parameter, parameters};
use crate::json;
use crate::pusher::channel::{self, Audience, Kind};
use crate::pusher::message;
use crate::server_api::{ApiError, ApiRequest};

/// Channels of one trigger.
const CHANNELS_MAX: usize = 100;
/// Events of one batch.
const BATCH_MAX: usize = 10;
/// Pusher has no pages: what an app may have at once, by default.
const LIST_MAX: usize = 100_000;

/// One event of either call; unknown fields are left for libraries to add.
#[derive(Debug, Deserialize)]
struct Event<'a> {
    #[serde(borrow, default, deserialize_with = "json::present")]
    name: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "json::present")]
    data: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "json::present")]
    channel: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "json::present")]
    channels: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "json::present")]
    socket_id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "json::present")]
    info: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct Batch<'a> {
    #[serde(borrow, default, deserialize_with = "json::present")]
    batch: Option<&'a RawValue>,
}

/// What `info` asks to be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Info {
    pub(super) user_count: bool,
    pub(super) subscription_count: bool,
    pub(super) cache: bool,
}

pub(super) fn call(request: &ApiRequest<'_>) -> Result<ServerCall, ApiError> {
    match Route::of(request)? {
        Route::Events => Ok(ServerCall::Publish(vec![publish(&event(body(request)?)?)?])),
        Route::BatchEvents => {
            let events = batch(body(request)?)?;
            events.iter().map(publish).collect::<Result<_, _>>().map(ServerCall::Publish)
        }
        Route::Channels => {
            let parameters = parameters(request)?;
            let prefix = parameter(&parameters, "filter_by_prefix").unwrap_or_default();
            if query_info(request)?.user_count && !prefix.starts_with("presence-") {
                let detail = "info=user_count needs filter_by_prefix to begin with presence-";
                return Err(bad(detail));
            }
            Ok(ServerCall::Channels { prefix: String::from(prefix), limit: LIST_MAX })
        }
        Route::Channel(name) => {
            let channel = channel_name(&name)?;
            if query_info(request)?.user_count && !has_members(&channel) {
                return Err(bad("info=user_count needs a channel that begins with presence-"));
            }
            Ok(ServerCall::Channel { channel })
        }
        Route::Users(name) => {
            let channel = channel_name(&name)?;
            if !has_members(&channel) {
                return Err(bad("only channels that begin with presence- have users"));
            }
            Ok(ServerCall::Members { channel })
        }
        Route::TerminateConnections(user) => {
            let user = UserId::parse(&user)
                .map_err(|_| bad("the user's id must be 1 to 128 bytes, no control characters"))?;
            Ok(ServerCall::DisconnectUser { user })
        }
    }
}

/// `info` of each event, in the order asked: for the answer, which depends on it.
pub(super) fn event_infos(request: &ApiRequest<'_>) -> Result<Vec<Info>, ApiError> {
    let infos = |event: &Event<'_>| info(event.info);
    match Route::of(request)? {
        Route::Events => Ok(vec![infos(&event(body(request)?)?)?]),
        _ => batch(body(request)?)?.iter().map(infos).collect(),
    }
}

/// `info` of a query.
pub(super) fn query_info(request: &ApiRequest<'_>) -> Result<Info, ApiError> {
    Info::parse(parameter(&parameters(request)?, "info").unwrap_or_default())
}

impl Info {
    fn parse(text: &str) -> Result<Self, ApiError> {
        let mut info = Self::default();
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            match word {
                "user_count" => info.user_count = true,
                "subscription_count" => info.subscription_count = true,
                "cache" => info.cache = true,
                _ => return Err(bad("info must be of user_count, subscription_count, cache")),
            }
        }
        Ok(info)
    }

    fn is_any(self) -> bool {
        self != Self::default()
    }
}

fn body<'a>(request: &ApiRequest<'a>) -> Result<&'a str, ApiError> {
    std::str::from_utf8(request.body).map_err(|_| bad("the body must be UTF-8"))
}

fn event(text: &str) -> Result<Event<'_>, ApiError> {
    json::object(text).map_err(|error| bad(format!("body: {error}")))
}

fn batch(text: &str) -> Result<Vec<Event<'_>>, ApiError> {
    let body: Batch<'_> = json::object(text).map_err(|error| bad(format!("body: {error}")))?;
    let list = body.batch.and_then(|raw| serde_json::from_str::<Vec<&RawValue>>(raw.get()).ok());
    let list = list.ok_or_else(|| bad("batch must be an array"))?;
    if list.len() > BATCH_MAX {
        return Err(bad(format!("batch must be of at most {BATCH_MAX} events")));
    }
    list.into_iter().map(batched).collect()
}

fn batched(raw: &RawValue) -> Result<Event<'_>, ApiError> {
    let event: Event<'_> = json::fields(raw.get())
        .map_err(|_| bad("each event of batch must be an object, each field once"))?;
    match event.channels {
        Some(_) => Err(bad("an event of a batch has one channel: use channel")),
        None => Ok(event),
    }
}

fn publish(event: &Event<'_>) -> Result<ServerPublish, ApiError> {
    let name = required(event.name, "name must be a string")?;
    let name = EventName::parse(&name).map_err(|_| {
        let detail = "name must be 1 to 200 bytes without control characters";
        ApiError::new(400, Reason::BadEvent, detail)
    })?;
    let data = required(event.data, "data must be a string: encode objects as JSON text")?;
    let exclude = optional(event.socket_id, "socket_id must be a string")?
        .map(|text| ConnectionId::parse(&text))
        .transpose()
        .map_err(|_| bad("socket_id must be of the form <number>.<number>"))?;
    Ok(ServerPublish {
        channels: channels(event)?,
        event: Some(name),
        payload: Payload::Text(Text::from(data.into_owned())),
        exclude,
        occupancy: info(event.info)?.is_any(),
    })
}

fn channels(event: &Event<'_>) -> Result<Vec<ChannelName>, ApiError> {
    let names = match (event.channel, event.channels) {
        (Some(_), None) => vec![required(event.channel, "channel must be a string")?],
        (None, Some(raw)) => strings(raw)
            .filter(|names| !names.is_empty())
            .ok_or_else(|| bad("channels must be an array of at least one string"))?,
        (Some(_), Some(_)) => return Err(bad("give channel or channels, not both")),
        (None, None) => return Err(bad("channels is missing")),
    };
    if names.len() > CHANNELS_MAX {
        return Err(bad(format!("channels must be at most {CHANNELS_MAX}")));
    }
    let channels: Vec<_> = names.iter().map(|name| channel_name(name)).collect::<Result<_, _>>()?;
    let encrypted = |channel| Kind::of(channel).audience == Audience::Encrypted;
    if channels.len() > 1 && channels.iter().any(encrypted) {
        return Err(bad("an encrypted channel must be the only channel of its event"));
    }
    let twice = |(at, channel)| channels[..at].contains(channel);
    if channels.iter().enumerate().any(twice) {
        return Err(bad("channels has a channel twice"));
    }
    Ok(channels)
}

fn strings(raw: &RawValue) -> Option<Vec<Cow<'_, str>>> {
    let list: Vec<&RawValue> = serde_json::from_str(raw.get()).ok()?;
    list.into_iter().map(json::string).collect()
}

fn info(field: Option<&RawValue>) -> Result<Info, ApiError> {
    Info::parse(&optional(field, "info must be a string")?.unwrap_or_default())
}

fn channel_name(text: &str) -> Result<ChannelName, ApiError> {
    channel::name(text).map_err(|Refusal { reason, detail, .. }| ApiError::new(400, reason, detail))
}

fn has_members(channel: &ChannelName) -> bool {
    Kind::of(channel).audience == Audience::Presence
}

fn required<'a>(
    field: Option<&'a RawValue>,
    detail: &'static str,
) -> Result<Cow<'a, str>, ApiError> {
    message::required(field, detail).map_err(|refusal| bad(refusal.detail))
}

fn optional<'a>(
    field: Option<&'a RawValue>,
    detail: &'static str,
) -> Result<Option<Cow<'a, str>>, ApiError> {
    message::optional(field, detail).map_err(|refusal| bad(refusal.detail))
}
