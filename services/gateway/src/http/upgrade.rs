//! From an upgrade request to a connection: is it RFC 6455, is there room, which app, may it.

use std::io::Read as _;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName};
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use model::{CloseReason, ConnectionId, Reason};
use opentelemetry::KeyValue;
use opentelemetry::trace::{Span as _, SpanKind, Tracer as _};
use protocol::{Accepted, Protocol};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tracing::debug;

use crate::app::address::AddressPermit;
use crate::app::rate::Now;
use crate::app::{App, ConnectionPermit};
use crate::auth;
use crate::auth::origin::OriginRefusal;
use crate::connection::{self, Opened, Opening, Permits, Who};
use crate::http::{Peer, Response, client_ip, problem};
use crate::places::Place;
use crate::session::Standing;
use crate::shard::Shard;
use crate::transport::Transport;

/// An upgrade request that a dialect knows as its own.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) protocol: &'static dyn Protocol,
    pub(super) accepted: Accepted,
    pub(super) id: ConnectionId,
    pub(super) peer: Peer,
}

/// What a client may do that was let in.
struct Admitted {
    app: ConnectionPermit,
    standing: Standing,
    key: Box<str>,
    origin: Option<Box<str>>,
}

/// Why a request gets a status instead of an upgrade.
struct Refused {
    status: StatusCode,
    code: &'static str,
    detail: &'static str,
    header: Option<(HeaderName, String)>,
}

pub(super) async fn upgrade(
    shard: &Rc<Shard>,
    request: Request<Incoming>,
    asked: Asked,
) -> Response {
    let begun = tokio::time::Instant::now();
    let tracer = shard.gateway.tracer.as_ref();
    let span = tracer
        .map(|tracer| tracer.span_builder("connect").with_kind(SpanKind::Server).start(tracer));
    let protocol = asked.protocol;
    let (response, outcome) = match answer(shard, request, asked).await {
        Ok(response) => (response, "accepted"),
        Err(refused) => (refused.response(shard), refused.code),
    };
    let attributes =
        [KeyValue::new("wharf.protocol", protocol.name()), KeyValue::new("wharf.outcome", outcome)];
    shard.gateway.instruments.handshake.record(begun.elapsed().as_secs_f64(), &attributes);
    if let Some(mut span) = span {
        span.set_attributes(attributes);
        span.end();
    }
    response
}

async fn answer(
    shard: &Rc<Shard>,
    request: Request<Incoming>,
    asked: Asked,
) -> Result<Response, Refused> {
    let accept = check(&request)?;
    if shard.is_draining() {
        asked.count_rejected(shard, CloseReason::Draining);
        return Err(Refused::busy("this gateway is shutting down", Duration::from_secs(1)));
    }
    let ip = client_ip(shard, asked.peer, &request);
    let address = shard.gateway.addresses.admit(ip, Now::read()).map_err(|after| {
        asked.count_rejected(shard, CloseReason::RateLimited);
        let detail = "too many connections from this address: see connections_per_address_max and \
                      connects_per_second_per_address, and trusted_proxies behind a proxy";
        Refused {
            status: StatusCode::TOO_MANY_REQUESTS,
            code: CloseReason::RateLimited.word(),
            ..Refused::busy(detail, after)
        }
    })?;
    let gateway = shard.gateway.places.admit().map_err(|after| {
        asked.count_rejected(shard, CloseReason::Overloaded);
        Refused::busy("this gateway has all the connections it may have", after)
    })?;
    let admitted = admit(shard, &asked, request.headers()).await;
    if let Err(reason) = &admitted
        && let Some(status) = refusal_status(asked.protocol, *reason)
    {
        asked.count_rejected(shard, *reason);
        return Err(Refused::because(*reason, status));
    }
    let Asked { protocol, accepted, id, peer } = asked;
    let opened = match admitted {
        Err(reason) => Err(Turned { reason, _places: (gateway, address) }),
        Ok(Admitted { app, standing, key, origin }) => {
            let who = Who { id, protocol, app: Arc::clone(app.app()), key, origin };
            let permits = Permits { app, gateway, address };
            let Accepted { codec, commands, admission, .. } = accepted;
            let user = admission.user;
            let opening = Opening { who, codec, commands, standing, user, permits };
            Ok(connection::begin(shard, opening).await)
        }
    };
    shard.spawn(carry_on(Rc::clone(shard), request, protocol, peer, opened));
    Ok(switching(&accept))
}

/// A client that is upgraded only to be told why not; until then it takes its places.
struct Turned {
    reason: CloseReason,
    _places: (Place, AddressPermit),
}

/// After the answer has been written: takes the socket out of hyper and begins the conversation.
async fn carry_on(
    shard: Rc<Shard>,
    request: Request<Incoming>,
    protocol: &'static dyn Protocol,
    peer: Peer,
    opened: Result<Opened, Turned>,
) {
    let upgraded = hyper::upgrade::on(request).await.map_err(std::io::Error::other);
    let taken = upgraded.and_then(|upgraded| take_socket(upgraded, peer.tls));
    let (transport, leftover) = match taken {
        Ok(taken) => taken,
        Err(error) => {
            debug!(event = "upgrade.failed", error = %error, "the client left");
            if let Ok(opened) = opened {
                opened.abandon();
            }
            return;
        }
    };
    match opened {
        Err(turned) => connection::refuse(shard, transport, protocol, turned.reason).await,
        // A task of its own: this one is as large as a handshake.
        Ok(opened) => shard.spawn(connection::serve(opened, transport, leftover)),
    }
}

/// The bare socket, registered anew: hyper's registration would keep the handshake's task alive.
fn take_socket(upgraded: Upgraded, tls: bool) -> std::io::Result<(Transport, Bytes)> {
    let again = |socket: TcpStream| TcpStream::from_std(socket.into_std()?);
    let gone = || std::io::Error::other("hyper holds another kind of stream");
    if tls {
        let parts = upgraded.downcast::<TokioIo<TlsStream<TcpStream>>>().map_err(|_| gone())?;
        let (socket, mut session) = parts.io.into_inner().into_inner();
        // What TLS has decrypted and hyper has not asked for: the socket will not tell of it again.
        let mut leftover = Vec::from(parts.read_buf);
        let _ends_with_would_block = session.reader().read_to_end(&mut leftover);
        Ok((Transport::tls(again(socket)?, session), leftover.into()))
    } else {
        let parts = upgraded.downcast::<TokioIo<TcpStream>>().map_err(|_| gone())?;
        Ok((Transport::plain(again(parts.io.into_inner())?), parts.read_buf))
    }
}

/// Which app, and whether it lets this client in.
async fn admit(shard: &Shard, asked: &Asked, headers: &HeaderMap) -> Result<Admitted, CloseReason> {
    let accepted = &asked.accepted;
    if let Some(reason) = accepted.refused {
        return Err(reason);
    }
    let app = shard.gateway.directory.find(&accepted.app).ok_or(CloseReason::UnknownApp)?;
    let config = app.config();
    let key = admission_key(&config, asked)?;
    let standing = judge(&config, accepted)?;
    if !config.dialects.contains(&asked.protocol.name()) {
        return Err(CloseReason::DialectDisabled);
    }
    let origins = headers.get_all(header::ORIGIN);
    let origins = origins.iter().map(header::HeaderValue::as_bytes);
    auth::origin::allowed(&config, origins).map_err(|refusal| match refusal {
        OriginRefusal::Malformed => CloseReason::BadMessage,
        OriginRefusal::NotListed => CloseReason::OriginRefused,
    })?;
    let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
    let origin = origin.and_then(|origin| auth::origin::normalise(origin).ok());
    let permit = App::admit(&app).await?;
    Ok(Admitted { app: permit, standing, key, origin: origin.map(String::into_boxed_str) })
}

/// The public key that the client holds: in the path, or beside the app's code.
fn admission_key(app: &model::App, asked: &Asked) -> Result<Box<str>, CloseReason> {
    let key = match (&asked.accepted.app, &asked.accepted.admission.key) {
        (protocol::AppRef::Key(key), _) => key,
        (_, Some(key)) => key,
        (_, None) => return Err(CloseReason::Unauthorized),
    };
    match app.key(key) {
        Some(known) => Ok(known.key.clone().into_boxed_str()),
        // Told as for an app that does not exist: which of the two is nobody's business.
        None => Err(CloseReason::UnknownApp),
    }
}

fn judge(app: &model::App, accepted: &Accepted) -> Result<Standing, CloseReason> {
    let admission = &accepted.admission;
    let Some(signature) = &admission.signature else { return Ok(Standing::Key) };
    if !auth::verify_signature(app, signature) {
        return Err(CloseReason::Unauthorized);
    }
    match admission.expires {
        Some(expires) if expires < runtime::clock::unix_seconds() => Err(CloseReason::Expired),
        _ => Ok(Standing::Signed),
    }
}

/// Who sends no proper request, or from a page that is not listed, is a stranger to every dialect.
fn refusal_status(protocol: &dyn Protocol, reason: CloseReason) -> Option<StatusCode> {
    let status = match reason {
        CloseReason::OriginRefused => Some(OriginRefusal::NotListed.status()),
        CloseReason::BadMessage => Some(OriginRefusal::Malformed.status()),
        _ => protocol.refusal_status(reason),
    };
    status.and_then(|status| StatusCode::from_u16(status).ok())
}

/// RFC 6455, section 4.2.1; gives the answer to the client's key.
fn check(request: &Request<Incoming>) -> Result<String, Refused> {
    let headers = request.headers();
    if request.method() != Method::GET {
        let refused = Refused::new(StatusCode::METHOD_NOT_ALLOWED, "connect with GET");
        return Err(refused.with(header::ALLOW, "GET"));
    }
    // Java's client says that its request has a body of no bytes.
    let has_length = headers.get_all(header::CONTENT_LENGTH).iter().any(|length| length != "0");
    if has_length || headers.contains_key(header::TRANSFER_ENCODING) {
        return Err(Refused::new(StatusCode::BAD_REQUEST, "an upgrade request has no body"));
    }
    if !has_token(headers, &header::UPGRADE, "websocket") {
        let detail = "this is a WebSocket address: send Upgrade: websocket";
        let refused = Refused::new(StatusCode::UPGRADE_REQUIRED, detail);
        return Err(refused.with(header::UPGRADE, "websocket"));
    }
    if !has_token(headers, &header::CONNECTION, "upgrade") {
        return Err(Refused::new(StatusCode::BAD_REQUEST, "send Connection: Upgrade"));
    }
    let version = only(headers, &header::SEC_WEBSOCKET_VERSION);
    if version.map(str::trim) != Some("13") {
        let refused = Refused::new(StatusCode::UPGRADE_REQUIRED, "speak WebSocket version 13");
        return Err(refused.with(header::SEC_WEBSOCKET_VERSION, "13"));
    }
    if headers.contains_key(header::SEC_WEBSOCKET_PROTOCOL) {
        return Err(Refused {
            code: "unsupported_subprotocol",
            ..Refused::new(StatusCode::BAD_REQUEST, "this dialect has no subprotocol: offer none")
        });
    }
    let detail = "Sec-WebSocket-Key must be there once: 16 bytes in base64";
    let key = only(headers, &header::SEC_WEBSOCKET_KEY)
        .filter(|key| {
            let decoded = base64::engine::general_purpose::STANDARD.decode(key);
            decoded.is_ok_and(|bytes| bytes.len() == 16)
        })
        .ok_or_else(|| Refused::new(StatusCode::BAD_REQUEST, detail))?;
    Ok(derive_accept_key(key.as_bytes()))
}

/// The header's value, if it is there exactly once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(first)
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name);
    let mut texts = values.iter().filter_map(|value| value.to_str().ok());
    texts.any(|text| text.split(',').any(|item| item.trim().eq_ignore_ascii_case(token)))
}

fn switching(accept: &str) -> Response {
    hyper::Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, accept)
        .body(Full::default())
        .expect("an accept key is base64")
}

impl Asked {
    fn count_rejected(&self, shard: &Shard, reason: CloseReason) {
        shard.counters.of(self.protocol).rejected(reason);
    }
}

impl Refused {
    fn new(status: StatusCode, detail: &'static str) -> Self {
        Self { status, code: Reason::BadMessage.word(), detail, header: None }
    }

    fn busy(detail: &'static str, after: Duration) -> Self {
        let seconds = after.as_secs_f64().ceil().max(1.0);
        Self {
            code: CloseReason::Overloaded.word(),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
        }
        .with(header::RETRY_AFTER, &format!("{seconds:.0}"))
    }

    fn because(reason: CloseReason, status: StatusCode) -> Self {
        // An unknown app and a wrong credential read alike: neither tells what exists.
        let (code, detail) = match reason {
            CloseReason::UnknownApp | CloseReason::Unauthorized | CloseReason::DialectDisabled => (
                CloseReason::Unauthorized.word(),
                "check the app's code, the key and the signature",
            ),
            CloseReason::OriginRefused => {
                (reason.word(), "this page's origin is not on the app's list")
            }
            _ => (reason.word(), "the address is not one that this dialect understands"),
        };
        Self { code, ..Self::new(status, detail) }
    }

    fn with(self, name: HeaderName, value: &str) -> Self {
        Self { header: Some((name, String::from(value))), ..self }
    }

    /// Nothing is read after a refused upgrade: its sender may think that it is in a tunnel.
    fn response(&self, shard: &Shard) -> Response {
        let response = problem::closing(&shard.gateway, self.status, self.code, self.detail);
        match &self.header {
            Some((name, value)) => problem::with_header(response, name.clone(), value),
            None => response,
        }
    }
}
