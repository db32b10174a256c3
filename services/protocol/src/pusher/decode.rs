//! A client's frames to commands.

use model::{
    ChannelName, Command, ConnectionId, Echo, EventName, Payload, Presence, Reason, Refusal, Text,
    Verb,
};

use super::channel::{self, Audience, Kind};
use super::message::{self, Message, SignIn, Subscription, bad};
use crate::{DecodeError, Frame, Inbound, json};

const PONG: &str = r#"{"event":"pusher:pong","data":"{}"}"#;

/// Reads one text frame.
///
/// A refusal names its channel only where a subscription is refused: that is how `encode` knows to
/// say it as the channel's `pusher:subscription_error`.
pub(super) fn decode(
    connection: ConnectionId,
    text: &str,
    inbound: &mut Inbound,
) -> Result<(), DecodeError> {
    let message: Message<'_> = json::object(text).map_err(|error| bad(error.detail()))?;
    let event = message::required(message.event, "event must be a string")?;
    let verb = match &*event {
        "pusher:subscribe" => subscribe(connection, &message)?,
        "pusher:unsubscribe" => unsubscribe(&message)?,
        "pusher:signin" => sign_in(connection, &message)?,
        "pusher:ping" => {
            inbound.replies.push(Frame::text(PONG));
            return Ok(());
        }
        // Any frame counts as a sign of life, so there is nothing more to do.
        "pusher:pong" => return Ok(()),
        event if event.starts_with("client-") => client_event(event, &message)?,
        _ => return Err(Refusal::new(Reason::UnknownType, UNKNOWN_EVENT).into()),
    };
    inbound.commands.push(Command::from(verb));
    Ok(())
}

impl From<Refusal> for DecodeError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused { channel: None, refusal }
    }
}

fn subscribe(connection: ConnectionId, message: &Message<'_>) -> Result<Verb, DecodeError> {
    let data: Subscription<'_> = message::data(message.data)?;
    let channel = message::required(data.channel, "data.channel must be a string")?;
    let channel = channel::name(&channel)?;
    subscribe_to(connection, &data, &channel)
        .map_err(|refusal| DecodeError::Refused { channel: Some(channel), refusal })
}

fn subscribe_to(
    connection: ConnectionId,
    data: &Subscription<'_>,
    channel: &ChannelName,
) -> Result<Verb, Refusal> {
    let auth = message::optional(data.auth, "data.auth must be a string")?;
    let channel_data = message::optional(data.channel_data, "data.channel_data must be a string")?;
    let presence = match (Kind::of(channel).audience, &channel_data) {
        (Audience::Presence, Some(text)) => Presence::Member(message::member(text)?),
        (Audience::Presence, None) => Presence::Oneself,
        _ => Presence::None,
    };
    let signature = auth.filter(|auth| !auth.is_empty()).map(|auth| {
        let signed = match &channel_data {
            Some(data) => format!("{connection}:{channel}:{data}"),
            None => format!("{connection}:{channel}"),
        };
        message::signature(&auth, signed)
    });
    Ok(Verb::Subscribe { channel: channel.clone(), signature, presence })
}

fn unsubscribe(message: &Message<'_>) -> Result<Verb, DecodeError> {
    let data: Subscription<'_> = message::data(message.data)?;
    let channel = message::required(data.channel, "data.channel must be a string")?;
    Ok(Verb::Unsubscribe { channel: channel::name(&channel)? })
}

fn sign_in(connection: ConnectionId, message: &Message<'_>) -> Result<Verb, DecodeError> {
    let data: SignIn<'_> = message::data(message.data)?;
    let auth = message::required(data.auth, "data.auth must be a string")?;
    let user_data = message::required(data.user_data, "data.user_data must be a string")?;
    let user = message::signed_in(&user_data)?;
    let signature = message::signature(&auth, format!("{connection}::user::{user_data}"));
    Ok(Verb::SignIn { signature, user, data: user_data.into_owned() })
}

fn client_event(event: &str, message: &Message<'_>) -> Result<Verb, DecodeError> {
    let event = EventName::parse(event).map_err(|_| Refusal::new(Reason::BadEvent, BAD_EVENT))?;
    let channel = message::required(message.channel, "channel must be a string")?;
    let channel = channel::name(&channel)?;
    if !Kind::of(&channel).takes_client_events() {
        return Err(Refusal::new(Reason::Forbidden, NO_CLIENT_EVENTS).into());
    }
    // `trigger(name)` of pusher-js leaves `data` out where it is undefined.
    let text = message.data.map_or(Ok(Text::from("null")), |raw| json::decode_data(raw.get()));
    let payload = Payload::Text(text.map_err(|error| bad(error.detail()))?);
    Ok(Verb::Publish { channel, event: Some(event), payload, echo: Echo::Exclude })
}

const UNKNOWN_EVENT: &str = "event must be pusher:subscribe, pusher:unsubscribe, pusher:signin, \
                             pusher:ping, pusher:pong or begin with client-";
const BAD_EVENT: &str = "event must be at most 200 bytes without control characters";
const NO_CLIENT_EVENTS: &str =
    "client events need a channel that begins with private- or presence-, and is not encrypted";
