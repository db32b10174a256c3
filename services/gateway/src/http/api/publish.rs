//! Publishing: one message, several, or one to several channels.

use hyper::StatusCode;
use model::{ChannelName, Published, Refusal, ServerAnswer, ServerCall, ServerPublish};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::answer::{Answer, Failure};
use super::call::{Call, Change};
use super::document::Failures;
use super::read::{self, Field};

/// Messages of a batch, channels of a broadcast.
const ITEMS_MAX: usize = 100;
/// What one answer's object takes at most, but for its channel's name.
const ITEM_BYTES_MAX: usize = 320;

pub(super) const PUBLISH_FIELDS: [&str; 6] =
    ["channel", "event", "data", "data_base64", "exclude", "idempotency_key"];
pub(super) const BATCH_FIELDS: [&str; 2] = ["messages", "idempotency_key"];
pub(super) const MESSAGE_FIELDS: [&str; 5] = ["channel", "event", "data", "data_base64", "exclude"];
pub(super) const BROADCAST_FIELDS: [&str; 6] =
    ["channels", "event", "data", "data_base64", "exclude", "idempotency_key"];

/// A message that was accepted.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Accepted {
    /// The message's id: 32 hex digits, a UUID version 7.
    #[schema(example = "019ab0c1f3a27c4e8f00c9d2a1b3e4f5")]
    id: String,
    /// Its place in the channel's history, `<epoch>-<offset>`; null where the channel keeps none.
    #[schema(required, example = "6b2f9c1e00d4a7f3-42")]
    position: Option<String>,
}

/// What became of each, in the order asked.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Results {
    results: Vec<Item>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Item {
    /// Not there if it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<String>,
    /// As if the message had been sent by itself: 200, or what would have been answered.
    status: u16,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum Outcome {
    Accepted(Accepted),
    Refused { code: &'static str, detail: String },
}

/// Publish one message
///
/// To one channel. Channel rules are for clients: an API key may publish on every channel.
#[utoipa::path(
    post,
    path = "/v1/apps/{app}/publish",
    tag = "publish",
    params(
        ("app" = String, Path, description = "The app's code"),
        ("Idempotency-Key" = Option<String>, Header, description = "See `idempotency_key`"),
    ),
    request_body = super::document::Publish,
    responses((status = 200, description = "Accepted", body = Accepted), Failures),
)]
pub(super) async fn publish(call: Call) -> Result<Answer, Failure> {
    read::query(&call.query, &[])?;
    let body = call.body.clone();
    let fields = read::object(read::text(&body)?, &PUBLISH_FIELDS)?;
    let [channel, event, data, data_base64, exclude, key] = fields;
    let channel = read::channel("channel", channel)?;
    let common = Common { event, data, data_base64, exclude };
    let message = common.message(vec![channel], &call)?;
    let key = call.key(key)?;
    let asked = ServerCall::Publish(vec![message]);
    let change = Change { call: asked, key, answer_bytes_max: ITEM_BYTES_MAX };
    call.change(change, |answer| {
        let outcome = published(answer).into_iter().flatten().next();
        let published = outcome.expect("one channel was asked for");
        let published = published.map_err(|refusal| Failure::from(&refusal))?;
        Ok(Answer::ok(&Accepted::from(&published)))
    })
    .await
}

/// Publish up to 100 messages
///
/// Each is judged by itself: 200 if all were accepted, else 207 and a list that says which were
/// not. The order of the messages of one channel is kept.
#[utoipa::path(
    post,
    path = "/v1/apps/{app}/batch",
    tag = "publish",
    params(
        ("app" = String, Path, description = "The app's code"),
        ("Idempotency-Key" = Option<String>, Header, description = "See `idempotency_key`"),
    ),
    request_body = super::document::Batch,
    responses(
        (status = 200, description = "All were accepted", body = Results),
        (status = 207, description = "Some were not accepted", body = Results),
        Failures,
    ),
)]
pub(super) async fn batch(call: Call) -> Result<Answer, Failure> {
    read::query(&call.query, &[])?;
    let body = call.body.clone();
    let [messages, key] = read::object(read::text(&body)?, &BATCH_FIELDS)?;
    let items = read::array("messages", messages, ITEMS_MAX)?;
    let key = call.key(key)?;
    let (mut messages, mut names) = (Vec::with_capacity(items.len()), Vec::new());
    for item in items {
        let (name, message) = message(item, &call);
        match message {
            Ok(message) => {
                messages.push(message);
                names.push((name, None));
            }
            Err(failure) => names.push((name, Some(failure))),
        }
    }
    let answer_bytes_max = answer_bytes_max(&names);
    let asked = ServerCall::Publish(messages);
    let change = Change { call: asked, key, answer_bytes_max };
    call.change(change, |answer| results(names, published(answer).into_iter().flatten())).await
}

/// Publish one message to up to 100 channels
///
/// Each channel gets a message of its own, with its own id and position.
#[utoipa::path(
    post,
    path = "/v1/apps/{app}/broadcast",
    tag = "publish",
    params(
        ("app" = String, Path, description = "The app's code"),
        ("Idempotency-Key" = Option<String>, Header, description = "See `idempotency_key`"),
    ),
    request_body = super::document::Broadcast,
    responses(
        (status = 200, description = "Accepted on all channels", body = Results),
        (status = 207, description = "Some channels did not accept it", body = Results),
        Failures,
    ),
)]
pub(super) async fn broadcast(call: Call) -> Result<Answer, Failure> {
    read::query(&call.query, &[])?;
    let body = call.body.clone();
    let fields = read::object(read::text(&body)?, &BROADCAST_FIELDS)?;
    let [channels, event, data, data_base64, exclude, key] = fields;
    let items = read::array("channels", channels, ITEMS_MAX)?;
    let (mut channels, mut names) = (Vec::with_capacity(items.len()), Vec::new());
    for item in items {
        match read::channel("channels", Some(item)) {
            Ok(channel) if channels.contains(&channel) => {
                let failure = read::wrong("channels", "names this channel twice");
                names.push((Some(channel), Some(failure)));
            }
            Ok(channel) => {
                channels.push(channel.clone());
                names.push((Some(channel), None));
            }
            Err(failure) => names.push((None, Some(failure))),
        }
    }
    let common = Common { event, data, data_base64, exclude };
    let message = common.message(channels, &call)?;
    let key = call.key(key)?;
    let answer_bytes_max = answer_bytes_max(&names);
    let asked = ServerCall::Publish(vec![message]);
    let change = Change { call: asked, key, answer_bytes_max };
    call.change(change, |answer| results(names, published(answer).into_iter().flatten())).await
}

/// The fields that say what is published, whatever they are sent with.
struct Common<'a> {
    event: Field<'a>,
    data: Field<'a>,
    data_base64: Field<'a>,
    exclude: Field<'a>,
}

impl Common<'_> {
    fn message(self, channels: Vec<ChannelName>, call: &Call) -> Result<ServerPublish, Failure> {
        let event = read::event(self.event)?;
        let exclude = read::optional(self.exclude);
        let exclude = exclude.map(|raw| read::connection("exclude", raw)).transpose()?;
        let bytes_max = call.app.config().limits.payload_bytes_max;
        let payload = read::payload(self.data, self.data_base64, bytes_max)?;
        Ok(ServerPublish { channels, event, payload, exclude, occupancy: false })
    }
}

/// An item of a batch, and its channel as far as it could be read.
fn message(item: &RawValue, call: &Call) -> (Option<ChannelName>, Result<ServerPublish, Failure>) {
    let fields = match read::object(item.get(), &MESSAGE_FIELDS) {
        Ok(fields) => fields,
        Err(failure) => return (None, Err(failure)),
    };
    let [channel, event, data, data_base64, exclude] = fields;
    match read::channel("channel", channel) {
        Ok(channel) => {
            let common = Common { event, data, data_base64, exclude };
            let message = common.message(vec![channel.clone()], call);
            (Some(channel), message)
        }
        Err(failure) => (None, Err(failure)),
    }
}

fn published(answer: ServerAnswer) -> Vec<Vec<Result<Published, Refusal>>> {
    match answer {
        ServerAnswer::Published(published) => published,
        ServerAnswer::Channels(_)
        | ServerAnswer::Channel(_)
        | ServerAnswer::Members(_)
        | ServerAnswer::History(_)
        | ServerAnswer::Disconnected(_) => unreachable!("a publication was asked for"),
    }
}

/// Each asked for, and why it was not even tried.
type Names = Vec<(Option<ChannelName>, Option<Failure>)>;

/// `outcomes` are of those that were tried.
fn results(
    names: Names,
    mut outcomes: impl Iterator<Item = Result<Published, Refusal>>,
) -> Result<Answer, Failure> {
    let mut outcome = || {
        let outcome = outcomes.next().expect("as many were answered as were tried");
        outcome.map_err(|refusal| Failure::from(&refusal))
    };
    let outcomes: Vec<_> = names
        .into_iter()
        .map(|(channel, failure)| (channel, failure.map_or_else(&mut outcome, Err)))
        .collect();
    let away = |outcome: &Result<Published, Failure>| match outcome {
        Ok(_) => false,
        Err(failure) => failure.status == StatusCode::SERVICE_UNAVAILABLE,
    };
    if outcomes.iter().all(|(_, outcome)| away(outcome))
        && let Some((_, Err(failure))) = outcomes.first()
    {
        return Err(failure.clone());
    }
    let all = outcomes.iter().all(|(_, outcome)| outcome.is_ok());
    let status = if all { StatusCode::OK } else { StatusCode::MULTI_STATUS };
    let results = outcomes.into_iter().map(|(channel, outcome)| Item::new(channel, outcome));
    Ok(Answer::json(status, &Results { results: results.collect() }))
}

fn answer_bytes_max(names: &Names) -> usize {
    let of_names: usize = names.iter().flat_map(|(name, _)| name).map(|n| n.as_str().len()).sum();
    names.len() * ITEM_BYTES_MAX + of_names
}

impl Item {
    fn new(channel: Option<ChannelName>, outcome: Result<Published, Failure>) -> Self {
        let channel = channel.map(|channel| String::from(channel.as_str()));
        match outcome {
            Ok(published) => {
                let outcome = Outcome::Accepted(Accepted::from(&published));
                Self { channel, status: StatusCode::OK.as_u16(), outcome }
            }
            Err(failure) => {
                let (status, code) = (failure.status.as_u16(), failure.code());
                let outcome = Outcome::Refused { code, detail: failure.detail.into_owned() };
                Self { channel, status, outcome }
            }
        }
    }
}

impl From<&Published> for Accepted {
    fn from(published: &Published) -> Self {
        let position = published.position.map(|position| position.to_string());
        Self { id: published.id.to_string(), position }
    }
}
