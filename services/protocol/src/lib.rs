//! Client dialects: bytes to commands, messages to bytes. Pure: no IO, no clock, no tasks, no keys,
//! and no sight of the hub. A dialect is one folder and one row in [`PROTOCOLS`].

#[cfg(any(test, feature = "contract"))]
pub mod contract;
pub mod frame;
mod hex;
pub mod json;
pub mod pusher;
pub mod raw;
pub mod server_api;
#[cfg(test)]
mod tests;
#[cfg(any(test, feature = "contract"))]
pub mod transcript;

use std::fmt::Debug;
use std::time::Duration;

use model::{
    Access, AppCode, ChannelName, CloseReason, Command, ConnectionId, Delivery, Refusal,
    ServerMessage, Signature,
};

pub use frame::Frame;

/// Every dialect, in the order in which they are asked whether a request is theirs.
pub static PROTOCOLS: &[&dyn Protocol] = &[&pusher::Pusher, &raw::Raw];

/// The dialect of a name (`raw`, `pusher`, ...), as configuration spells it.
pub fn find(name: &str) -> Option<&'static dyn Protocol> {
    PROTOCOLS.iter().copied().find(|protocol| protocol.name() == name)
}

/// A client dialect.
///
/// - Decoding any bytes never panics and allocates no more than a small multiple of what came.
/// - What `encode` says, a client of the dialect understands; a payload keeps its bytes.
/// - Every [`CloseReason`] has a close code that RFC 6455 allows a server to send.
/// - A subscription's confirmation comes before whatever the hub delivers to it.
pub trait Protocol: Debug + Send + Sync + 'static {
    /// One lower-case word; used in configuration, metrics and logs.
    fn name(&self) -> &'static str;

    /// Whether this upgrade request is ours, by its path alone; if so, what its client wants.
    fn accept(&self, handshake: &Handshake<'_>) -> Option<Accepted>;

    /// What a client is told before it is closed, and the close code and text.
    fn farewell(&self, reason: CloseReason) -> Farewell;

    /// When silence is answered by a probe, and the probe's silence by a close.
    fn heartbeat(&self) -> Heartbeat;

    /// Says deliveries once for all subscribers of this dialect.
    fn push_encoder(&self) -> &'static dyn PushEncoder;

    /// What this dialect's naming rules say of a channel. They bind every dialect of an app that
    /// speaks this one, so that no dialect is a back door to another's private channels.
    fn convention(&self, channel: &ChannelName) -> Convention {
        let _ = channel;
        Convention::default()
    }

    /// Whether what its clients publish are client events: allowed where the app enables them, to
    /// subscribers of the channel, at a rate of their own.
    fn publishes_client_events(&self) -> bool {
        false
    }

    /// The HTTP status of a refusal that is answered before the upgrade; `None`: the client is
    /// upgraded and told by [`Protocol::farewell`], since a browser cannot read a status.
    fn refusal_status(&self, reason: CloseReason) -> Option<u16> {
        let _ = reason;
        None
    }

    /// This dialect's server-side HTTP API, if the path is one of its own.
    fn server_api(&self) -> Option<&'static dyn server_api::ServerApi> {
        None
    }
}

/// An upgrade request, as far as a dialect may see it.
#[derive(Clone, Copy, Debug)]
pub struct Handshake<'a> {
    /// Still percent-encoded, beginning with `/`.
    pub path: &'a str,
    /// Still percent-encoded, without `?`.
    pub query: &'a str,
    /// The id that the connection will have.
    pub connection: ConnectionId,
}

/// What a client asked for with its handshake.
#[derive(Debug)]
pub struct Accepted {
    pub app: AppRef,
    /// What must hold before the connection may do anything.
    pub admission: Admission,
    pub codec: Box<dyn Codec>,
    /// Carried out in order once the connection is open, as if the client had sent them.
    pub commands: Vec<Command>,
    /// The connection cannot be served: it is told so in the dialect's words and closed.
    pub refused: Option<CloseReason>,
}

/// How a request names its app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppRef {
    /// By a public key.
    Key(String),
    Code(AppCode),
    Id(u64),
}

/// What the gateway checks at the door.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admission {
    /// A public key that must be one of the app's.
    pub key: Option<String>,
    /// A signed request: who holds it is `signed` for all that the handshake asked.
    pub signature: Option<Signature>,
    /// Unix time after which the signature is worth nothing.
    pub expires: Option<u64>,
    /// The user that the signature speaks for.
    pub user: Option<model::Member>,
}

/// A dialect's conversation with one client.
pub trait Codec: Debug + Send {
    /// Reads one frame. Commands go to `inbound.commands`; what is nobody else's business (a
    /// Pusher ping, say) is answered at once in `inbound.replies`.
    fn decode(&mut self, frame: Frame, inbound: &mut Inbound) -> Result<(), DecodeError>;

    /// Says one thing to this client.
    fn encode(&mut self, message: &ServerMessage, outbound: &mut Outbound);
}

#[derive(Debug, Default)]
pub struct Inbound {
    pub commands: Vec<Command>,
    pub replies: Vec<Frame>,
}

/// What a codec wants sent; `close` ends the connection after the frames.
#[derive(Debug, Default)]
pub struct Outbound {
    pub frames: Vec<Frame>,
    pub close: Option<CloseReason>,
}

/// A frame that is no command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The client is told, counted, and lives.
    Refused { channel: Option<ChannelName>, refusal: Refusal },
    /// The client is closed.
    Close(CloseReason),
}

/// Says a delivery once for everyone who is told the same bytes.
pub trait PushEncoder: Debug + Sync {
    /// `None`: this dialect has no word for it.
    fn encode(&self, delivery: &Delivery) -> Option<Frame>;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Farewell {
    pub frames: Vec<Frame>,
    /// A close code that a server may send: 1000-1003, 1007-1014 or 3000-4999.
    pub code: u16,
    /// ASCII, at most 123 bytes.
    pub text: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Silence of the client after which it is probed.
    pub idle: Duration,
    /// Silence after the probe after which it is closed.
    pub answer: Duration,
    pub probe: Probe,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// A WebSocket ping frame.
    WebSocketPing,
    /// The dialect's own: [`ServerMessage::Probe`].
    Message,
}

/// What a channel's name demands, beside its rule; it can only tighten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convention {
    pub subscribe: Access,
    pub publish: Access,
    /// Subscribers of this channel are members.
    pub presence: bool,
    /// The channel keeps its last server publication.
    pub cache: bool,
}

impl Default for Convention {
    fn default() -> Self {
        Self { subscribe: Access::Anyone, publish: Access::Anyone, presence: false, cache: false }
    }
}
