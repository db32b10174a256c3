//! Pusher Channels, client protocol versions 5 to 7, and its HTTP API.

mod api;
mod channel;
mod decode;
mod encode;
mod message;
#[cfg(test)]
mod tests;

use std::time::Duration;

use model::{ChannelName, CloseReason, ConnectionId, ServerMessage};
use percent_encoding::percent_decode_str;

use crate::server_api::ServerApi;
use crate::{
    Accepted, Admission, AppRef, Codec, Convention, DecodeError, Farewell, Frame, Handshake,
    Heartbeat, Inbound, Outbound, Probe, Protocol, PushEncoder,
};

#[derive(Debug)]
pub struct Pusher;

/// One client's conversation; a channel's signature holds for this connection only.
#[derive(Debug)]
struct Conversation {
    connection: ConnectionId,
}

impl Protocol for Pusher {
    fn name(&self) -> &'static str {
        "pusher"
    }

    fn accept(&self, handshake: &Handshake<'_>) -> Option<Accepted> {
        let key = key(handshake.path)?;
        Some(Accepted {
            app: AppRef::Key(percent_decode_str(key).decode_utf8_lossy().into_owned()),
            admission: Admission::default(),
            codec: Box::new(Conversation { connection: handshake.connection }),
            commands: Vec::new(),
            refused: check_version(handshake.query).err(),
        })
    }

    fn farewell(&self, reason: CloseReason) -> Farewell {
        let (code, text) = close(reason);
        let frames = (code >= 4000).then(|| encode::error_frame(Some(code), text));
        Farewell { frames: Vec::from_iter(frames), code, text }
    }

    fn heartbeat(&self) -> Heartbeat {
        Heartbeat {
            idle: Duration::from_secs(120),
            answer: Duration::from_secs(30),
            probe: Probe::Message,
        }
    }

    fn push_encoder(&self) -> &'static dyn PushEncoder {
        &encode::Pushes
    }

    fn publishes_client_events(&self) -> bool {
        true
    }

    fn convention(&self, channel: &ChannelName) -> Convention {
        channel::Kind::of(channel).convention()
    }

    fn server_api(&self) -> Option<&'static dyn ServerApi> {
        Some(&api::Api)
    }
}

impl Codec for Conversation {
    fn decode(&mut self, frame: Frame, inbound: &mut Inbound) -> Result<(), DecodeError> {
        match frame {
            Frame::Text(text) => decode::decode(self.connection, text.as_str(), inbound),
            Frame::Binary(_) => Err(DecodeError::Close(CloseReason::UnsupportedData)),
        }
    }

    fn encode(&mut self, message: &ServerMessage, outbound: &mut Outbound) {
        encode::encode(message, outbound);
    }
}

/// The key in `/app/<key>`, before which pusher-js may put one segment (`wsPath`). That segment is
/// not `a`: `/a/app/raw` is the raw dialect's, of an app whose code is `app`.
fn key(path: &str) -> Option<&str> {
    let (before, key) = path.rsplit_once('/')?;
    let prefix = before.strip_suffix("/app")?;
    let single = |prefix: &str| {
        prefix
            .strip_prefix('/')
            .is_some_and(|segment| !segment.is_empty() && segment != "a" && !segment.contains('/'))
    };
    (prefix.is_empty() || single(prefix)).then_some(key)
}

/// Other parameters (`client`, `version`, `flash`) only describe the client.
fn check_version(query: &str) -> Result<(), CloseReason> {
    let mut versions = form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| name == "protocol")
        .map(|(_, value)| value);
    let version = versions.next().ok_or(CloseReason::VersionMissing)?;
    if versions.next().is_some() || !version.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(CloseReason::VersionInvalid);
    }
    match version.parse::<u32>() {
        Ok(5..=7) => Ok(()),
        Ok(_) => Err(CloseReason::VersionUnsupported),
        Err(_) => Err(CloseReason::VersionInvalid),
    }
}

/// Clients stop at 4000-4099, wait at 4100-4199 and return at once at 4200-4299. Never 4000: it
/// tells pusher-js to come back over TLS.
fn close(reason: CloseReason) -> (u16, &'static str) {
    match reason {
        // These two are never sent: the client has gone already.
        CloseReason::ClientClosed => (1000, "closed by the client"),
        CloseReason::Gone => (1000, "the network took the connection"),
        CloseReason::Draining => (4200, "the server restarts: reconnect now"),
        CloseReason::SlowConsumer => (4100, "messages were read too slowly: reconnect later"),
        CloseReason::NoPong => (4201, "pong not received"),
        CloseReason::ProtocolViolation => (1002, "the WebSocket protocol was violated"),
        CloseReason::UnsupportedData => (1003, "binary messages are not supported"),
        CloseReason::InvalidText => (1007, "a text message was not UTF-8"),
        CloseReason::MessageTooBig => (1009, "a message was too big"),
        CloseReason::MessageTooSlow => (1008, "a message took too long to arrive"),
        CloseReason::BadMessage => (4009, "a message could not be read"),
        CloseReason::TooManyErrors => (4009, "too many messages were refused"),
        CloseReason::RateLimited => (4100, "too many messages: reconnect later"),
        CloseReason::ConnectionQuota => (4004, "the app is over its connection quota"),
        CloseReason::Overloaded => (4100, "over capacity: reconnect later"),
        CloseReason::UnknownApp => (4001, "no app has this key"),
        CloseReason::AppDisabled => (4003, "the app is disabled"),
        CloseReason::DialectDisabled => (4009, "the app does not take Pusher clients"),
        CloseReason::VersionMissing => (4008, "no protocol version supplied"),
        CloseReason::VersionInvalid => (4006, "the protocol version is not a number"),
        CloseReason::VersionUnsupported => (4007, "unsupported protocol version: use 5, 6 or 7"),
        CloseReason::OriginRefused => (4009, "the app does not allow this origin"),
        CloseReason::Unauthorized => (4009, "the connection is not authorised"),
        CloseReason::Forbidden => (4009, "the app's rules do not allow this"),
        CloseReason::Expired => (4009, "the credential has expired"),
        CloseReason::KeyRevoked => (4009, "the app's key was revoked"),
        CloseReason::Terminated => (4009, "the connection was terminated by the app"),
        CloseReason::Internal => (1011, "an internal error ended the connection"),
    }
}
