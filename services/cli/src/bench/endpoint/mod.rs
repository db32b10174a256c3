//! The server under test: where it is, what each role asks of it, and how messages are put on its
//! wire. It knows dialects; it never touches a socket.

mod http;
mod pusher;

use std::net::{SocketAddr, ToSocketAddrs as _};

use anyhow::{Context as _, bail, ensure};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    args::{Dialect, Publish, Target, Via},
    frame, stamp,
};
use crate::failure::Failure;

pub(super) use http::answers;

/// The nonce is constant: it protects caches between client and server, of which a bench has none,
/// and so the expected answer is a constant as well.
const NONCE: &str = "d2hhcmYgYmVuY2ggbm9uYw==";
/// Of the examples' apps.
const APP_ID: &str = "1";
const ACCEPT: &str = "fFxSoRU11osFZSeXs/vZCYkeFKs=";

/// What a connection is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Subscriber,
    Publisher,
    Echo,
    /// Subscribes and never reads again.
    Stuck,
    /// Subscribes and reads too little.
    Slow,
}

impl Role {
    fn word(self) -> &'static str {
        match self {
            Self::Subscriber | Self::Stuck | Self::Slow => "sub",
            Self::Publisher => "pub",
            Self::Echo => "echo",
        }
    }
}

/// What a message without a stamp asks of its connection.
#[derive(Debug)]
pub(super) enum Step {
    Ignore,
    Say(Vec<u8>),
    Joined,
    Refused(String),
}

#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    pub(super) address: SocketAddr,
    /// For the Host header and for reports.
    pub(super) authority: String,
    dialect: Dialect,
    path: String,
    channel: String,
    publish: Publish,
    /// How raw echoes come back.
    pub(super) via: Via,
    credentials: Credentials,
}

#[derive(Debug, Clone)]
struct Credentials {
    app_id: String,
    key: String,
    secret: Option<ring::hmac::Key>,
}

impl Endpoint {
    pub(super) fn try_new(target: &Target) -> anyhow::Result<Self> {
        let (given, whole) = match (&target.url, &target.gateway) {
            (Some(url), _) => (url, true),
            (None, Some(gateway)) => (gateway, false),
            (None, None) => bail!("say where the server is: --gateway or --url"),
        };
        let (authority, path) = split_url(given)?;
        let path = if whole {
            path
        } else {
            ensure!(path == "/", "--gateway takes no path: use --url for a whole address");
            default_path(target)?
        };
        let address = authority
            .to_socket_addrs()
            .with_context(|| format!("resolve {authority}"))?
            .next()
            .with_context(|| format!("{authority} has no address"))?;
        let by_client_event =
            target.dialect == Dialect::Pusher && target.publish == Publish::Client;
        let channel = target
            .channel
            .clone()
            .unwrap_or_else(|| if by_client_event { "private-bench" } else { "bench" }.to_owned());
        let gated = channel.starts_with("private-") || channel.starts_with("presence-");
        if target.dialect == Dialect::Pusher {
            ensure!(
                !by_client_event || gated,
                "client events need a private- or presence- channel"
            );
            ensure!(
                target.secret.is_some() || (!gated && !by_client_event),
                "pusher signatures need --secret"
            );
            ensure!(
                target.secret.is_some() || target.publish == Publish::Client,
                "--publish http needs --secret"
            );
            ensure!(
                target.key.is_some() || target.secret.is_none(),
                "pusher signatures name their key: --key KEY"
            );
        }
        let secret = target
            .secret
            .as_ref()
            .map(|secret| ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes()));
        Ok(Self {
            address,
            authority,
            dialect: target.dialect,
            path,
            channel,
            publish: target.publish,
            via: Via::Channel,
            credentials: Credentials {
                app_id: target.app_id.clone().unwrap_or_else(|| APP_ID.to_owned()),
                key: target.key.clone().unwrap_or_default(),
                secret,
            },
        })
    }

    /// Whether connections of this role are plain HTTP instead of a WebSocket.
    pub(super) fn publishes_by_http(&self, role: Role) -> bool {
        role == Role::Publisher && self.dialect == Dialect::Pusher && self.publish == Publish::Http
    }

    /// Whether a connection may be used as soon as the upgrade is done.
    pub(super) fn joins_by_url(&self) -> bool {
        self.dialect != Dialect::Pusher
    }

    /// The upgrade request of connection `n`.
    pub(super) fn upgrade(&self, role: Role, n: usize) -> Vec<u8> {
        format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {NONCE}\r\nSec-WebSocket-Version: 13\r\n\r\n",
            self.resource(role, n),
            self.authority
        )
        .into_bytes()
    }

    /// What the server says to a message that carries no stamp, and what to do about it.
    pub(super) fn converse(&self, role: Role, message: &[u8]) -> Step {
        match self.dialect {
            Dialect::Pusher => pusher::converse(self, role, message),
            Dialect::Raw | Dialect::Plain => Step::Ignore,
        }
    }

    /// The bytes that publish `payloads`, to be written at once.
    pub(super) fn publication(&self, payloads: &[Vec<u8>]) -> Vec<u8> {
        if self.publishes_by_http(Role::Publisher) {
            return http::publication(self, payloads);
        }
        let mut out = Vec::new();
        for payload in payloads {
            // Any mask will do, as long as the server has to take it off.
            let mask = mask_for(payload);
            match self.dialect {
                Dialect::Raw | Dialect::Plain => frame::encode_text(&mut out, payload, mask),
                Dialect::Pusher => {
                    let event = pusher::client_event(&self.channel, payload);
                    frame::encode_text(&mut out, event.as_bytes(), mask);
                }
            }
        }
        out
    }

    fn resource(&self, role: Role, n: usize) -> String {
        let own = role == Role::Echo && self.dialect == Dialect::Raw && self.via == Via::Channel;
        let channel = if own { format!("{}-echo-{n}", self.channel) } else { self.channel.clone() };
        let channel = utf8_percent_encode(&channel, NON_ALPHANUMERIC).to_string();
        let mut resource = self
            .path
            .replace("{channel}", &channel)
            .replace("{role}", role.word())
            .replace("{n}", &n.to_string());
        if self.dialect == Dialect::Raw {
            let separator = if resource.contains('?') { '&' } else { '?' };
            let extra = match role {
                Role::Publisher => format!("{separator}publish={channel}&self=0"),
                Role::Echo if own => format!("{separator}publish={channel}"),
                Role::Echo | Role::Subscriber | Role::Stuck | Role::Slow => String::new(),
            };
            resource.push_str(&extra);
        }
        resource
    }
}

/// The outcome of the handshake's answer in `head`, which ends with an empty line.
pub(super) fn accepted(head: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n");
    let status = lines.next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("101") {
        return Err(format!("the server answered the upgrade with `{status}`"));
    }
    let accept = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-accept"))
        .map(|(_, value)| value.trim());
    match accept {
        Some(ACCEPT) => Ok(()),
        Some(other) => {
            Err(format!("the server's Sec-WebSocket-Accept is `{other}`, which is wrong"))
        }
        None => Err("the server's 101 has no Sec-WebSocket-Accept".to_owned()),
    }
}

fn default_path(target: &Target) -> anyhow::Result<String> {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let needed = |flag: &str| Failure::Usage(format!("--gateway needs {flag} beside it"));
    let key = || target.key.as_deref().ok_or_else(|| needed("--key KEY"));
    let app = || target.app.as_ref().ok_or_else(|| needed("--app CODE"));
    Ok(match target.dialect {
        Dialect::Raw => {
            format!("/a/{}/raw?key={}&channel={{channel}}", encode(app()?.as_str()), encode(key()?))
        }
        Dialect::Pusher => format!(
            "/app/{}?protocol=7&client=wharf-bench&version={}&flash=false",
            encode(key()?),
            env!("CARGO_PKG_VERSION")
        ),
        Dialect::Plain => bail!("--dialect plain needs --url"),
    })
}

/// Authority with a port, and path with query.
fn split_url(url: &str) -> anyhow::Result<(String, String)> {
    let rest = match url.split_once("://") {
        Some(("ws" | "http", rest)) => rest,
        Some(("wss" | "https", _)) => bail!("`{url}`: TLS is not measured, use ws://"),
        _ => bail!("`{url}` does not start with ws://"),
    };
    let (authority, path) = match rest.find(['/', '?']) {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    ensure!(!authority.is_empty(), "`{url}` names no host");
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let authority = if has_port { authority.to_owned() } else { format!("{authority}:80") };
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    Ok((authority, path))
}

fn mask_for(payload: &[u8]) -> u32 {
    let stamp = &payload[..payload.len().min(stamp::BYTES)];
    stamp.iter().fold(0x9e37_79b9, |mask, byte| mask.rotate_left(5) ^ u32::from(*byte))
}
