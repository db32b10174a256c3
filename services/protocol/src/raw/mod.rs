//! Raw: any WebSocket client with no library. Its URL subscribes, its frames are payloads.

pub mod sign;
#[cfg(test)]
mod tests;
mod url;

use std::time::Duration;

use model::{
    Cached, ChannelName, CloseReason, Command, Delivery, Echo, Payload, Push, Reason, Reply,
    ServerMessage, Verb,
};

use crate::{
    Accepted, Admission, AppRef, Codec, DecodeError, Farewell, Frame, Handshake, Heartbeat,
    Inbound, Outbound, Probe, Protocol, PushEncoder,
};

#[derive(Debug)]
pub struct Raw;

/// One client's conversation: nothing but payloads, both ways.
#[derive(Debug)]
struct Conversation {
    publish: Option<ChannelName>,
    echo: Echo,
}

/// Says publications as they came; the dialect has no word for anything else.
#[derive(Debug)]
struct Pushes;

impl Protocol for Raw {
    fn name(&self) -> &'static str {
        "raw"
    }

    fn accept(&self, handshake: &Handshake<'_>) -> Option<Accepted> {
        let app = url::app(handshake.path)?;
        let request = url::request(&app, handshake.query);
        let refused = request.as_ref().err().copied();
        let request = request.unwrap_or_else(|_| url::Request {
            admission: Admission::default(),
            commands: Vec::new(),
            publish: None,
            echo: Echo::Exclude,
        });
        let codec = Conversation { publish: request.publish, echo: request.echo };
        Some(Accepted {
            app: AppRef::Code(app),
            admission: request.admission,
            codec: Box::new(codec),
            commands: request.commands,
            refused,
        })
    }

    fn farewell(&self, reason: CloseReason) -> Farewell {
        let (code, text) = close(reason);
        Farewell { frames: Vec::new(), code, text }
    }

    fn heartbeat(&self) -> Heartbeat {
        Heartbeat {
            idle: Duration::from_secs(25),
            answer: Duration::from_secs(10),
            probe: Probe::WebSocketPing,
        }
    }

    fn push_encoder(&self) -> &'static dyn PushEncoder {
        &Pushes
    }

    /// Strangers get a status, cheaply; what an app's own users should understand gets an upgrade.
    fn refusal_status(&self, reason: CloseReason) -> Option<u16> {
        match reason {
            CloseReason::BadMessage => Some(400),
            CloseReason::UnknownApp | CloseReason::Unauthorized | CloseReason::DialectDisabled => {
                Some(401)
            }
            _ => None,
        }
    }
}

impl Codec for Conversation {
    fn decode(&mut self, frame: Frame, inbound: &mut Inbound) -> Result<(), DecodeError> {
        let channel = self.publish.clone().ok_or(DecodeError::Close(CloseReason::Forbidden))?;
        let payload = match frame {
            Frame::Text(text) => Payload::Text(text),
            Frame::Binary(bytes) => Payload::Binary(bytes),
        };
        let verb = Verb::Publish { channel, event: None, payload, echo: self.echo };
        inbound.commands.push(Command::from(verb));
        Ok(())
    }

    fn encode(&mut self, message: &ServerMessage, outbound: &mut Outbound) {
        match message {
            ServerMessage::Reply {
                reply: Reply::Subscribed { cached: Cached::Hit(last), .. },
                ..
            } => outbound.frames.push(frame(&last.payload)),
            // A client that could not tell a refusal from silence would wait for ever.
            ServerMessage::Refused { refusal, .. } => {
                outbound.close = Some(refused(refusal.reason));
            }
            ServerMessage::Connected { .. }
            | ServerMessage::Reply { .. }
            | ServerMessage::Probe => {}
        }
    }
}

impl PushEncoder for Pushes {
    fn encode(&self, delivery: &Delivery) -> Option<Frame> {
        match &delivery.push {
            Push::Publication(publication) => Some(frame(&publication.payload)),
            Push::MemberAdded(_) | Push::MemberRemoved(_) | Push::SubscriptionCount(_) => None,
        }
    }
}

fn frame(payload: &Payload) -> Frame {
    match payload {
        Payload::Text(text) => Frame::Text(text.clone()),
        Payload::Binary(bytes) => Frame::Binary(bytes.clone()),
    }
}

/// The only word for a refusal is a close.
fn refused(reason: Reason) -> CloseReason {
    match reason {
        Reason::BadMessage
        | Reason::UnknownType
        | Reason::BadChannel
        | Reason::BadEvent
        | Reason::Conflict => CloseReason::BadMessage,
        Reason::Unauthorized => CloseReason::Unauthorized,
        Reason::Forbidden | Reason::NotSubscribed | Reason::NotFound => CloseReason::Forbidden,
        Reason::TooLarge => CloseReason::MessageTooBig,
        Reason::RateLimited | Reason::LimitExceeded => CloseReason::RateLimited,
        Reason::IdempotencyFull | Reason::Unavailable => CloseReason::Overloaded,
    }
}

fn close(reason: CloseReason) -> (u16, &'static str) {
    match reason {
        // These two are never sent: the client has gone already.
        CloseReason::ClientClosed => (1000, "closed by the client"),
        CloseReason::Gone => (1000, "the network took the connection"),
        CloseReason::Draining => (1012, "the server restarts: reconnect"),
        CloseReason::SlowConsumer => (4201, "messages were read too slowly: reconnect"),
        CloseReason::NoPong => (4203, "no pong: reconnect"),
        CloseReason::ProtocolViolation => (1002, "the WebSocket protocol was violated"),
        CloseReason::UnsupportedData => (1003, "this kind of message is not supported"),
        CloseReason::InvalidText => (1007, "a text message was not UTF-8"),
        CloseReason::MessageTooBig => (1009, "a message was too big"),
        CloseReason::MessageTooSlow => (1008, "a message took too long to arrive"),
        CloseReason::BadMessage => (4000, "the URL or a message could not be read"),
        CloseReason::TooManyErrors => (4006, "too many messages were refused"),
        CloseReason::RateLimited => (4429, "over a limit of the app: wait, then reconnect"),
        CloseReason::ConnectionQuota => (4429, "the app is over its connection quota"),
        CloseReason::Overloaded => (4429, "over capacity: wait, then reconnect"),
        CloseReason::UnknownApp => (4004, "no such app or key"),
        CloseReason::AppDisabled => (4403, "the app is disabled"),
        CloseReason::DialectDisabled => (4403, "the app does not take raw clients"),
        CloseReason::VersionMissing
        | CloseReason::VersionInvalid
        | CloseReason::VersionUnsupported => (4010, "unsupported protocol version"),
        CloseReason::OriginRefused => (4403, "the app does not allow this origin"),
        CloseReason::Unauthorized => {
            (4401, "a signature is missing or does not hold: sign the URL")
        }
        CloseReason::Forbidden => (4003, "the app's rules do not allow this"),
        CloseReason::Expired => (4401, "the URL has expired: sign a new one"),
        CloseReason::KeyRevoked => (4403, "the app's key was revoked"),
        CloseReason::Terminated => (4403, "the connection was terminated by the app"),
        CloseReason::Internal => (1011, "an internal error ended the connection"),
    }
}
