//! The public listener: accepts sockets, ends TLS, reads requests within bounds, and routes each to
//! a dialect's upgrade, a server-side API, or nowhere.

mod api;
mod body;
mod calls;
mod dialect_api;
mod problem;
mod tls;
mod trace;
mod upgrade;

use std::cell::RefCell;
use std::convert::Infallible;
use std::fmt::Debug;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderName};
use hyper::service::service_fn;
use hyper::{Method, Request, StatusCode, Uri, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use model::Reason;
use protocol::{Handshake, PROTOCOLS};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::{debug, warn};

use crate::app::address::{AddressPermit, client_address};
use crate::app::rate::Now;
use crate::shard::Shard;

pub(crate) use api::Shared as ApiShared;
pub use tls::TlsError;
pub(crate) use tls::{Acceptor, acceptor};

pub(crate) type Response = hyper::Response<Full<Bytes>>;

/// A page of the process that embeds the gateway (`wharf dev`), asked for what nobody else owns.
pub trait Page: Debug + Send + Sync + 'static {
    /// `host` is the request's Host header, `client` the socket's other end.
    fn get(&self, path: &str, host: &str, client: IpAddr) -> Option<(&'static str, Bytes)>;

    /// What the page may load and run: its Content-Security-Policy, ASCII.
    fn security_policy(&self) -> &str {
        "default-src 'none'; frame-ancestors 'none'"
    }
}

/// One request's circumstances.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) socket: SocketAddr,
    pub(crate) tls: bool,
}

/// Accepts until the gateway stops.
pub(crate) async fn accept(shard: Rc<Shard>, listener: TcpListener) {
    const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(50);
    let stopping = shard.gateway.stopping.clone();
    let places = handshake_places(&shard);
    loop {
        let place = Arc::clone(&places).acquire_owned();
        let accepted = tokio::select! {
            () = stopping.cancelled() => return,
            accepted = async { (place.await, listener.accept().await) } => accepted,
        };
        match accepted {
            (Ok(place), Ok((socket, peer))) => {
                // Too many of one address: closed, which is the cheapest answer.
                let Ok(address) = address_place(&shard, peer.ip()) else {
                    shard.gateway.instruments.socket_rejected.add(1, &[]);
                    debug!(event = "socket.rejected", client.address = %peer.ip(), "too many sockets");
                    continue;
                };
                let places = SocketPlaces { handshake: Some(place), _address: address };
                shard.spawn(serve(Rc::clone(&shard), socket, peer, places));
            }
            (_, Err(error)) => {
                // Out of descriptors, mostly: accepting goes on when some come back.
                warn!(event = "accept.failed", error = %error, "could not accept a connection");
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
            }
            (Err(_), _) => return,
        }
    }
}

/// What a socket takes until it is a connection; the handshake's place until its first request.
struct SocketPlaces {
    handshake: Option<OwnedSemaphorePermit>,
    _address: Option<AddressPermit>,
}

/// Proxies bring many clients: only their connections are counted, by what the proxies say.
fn address_place(shard: &Shard, ip: IpAddr) -> Result<Option<AddressPermit>, Duration> {
    let gateway = &shard.gateway;
    if gateway.config.trusted_proxies.contains(ip) {
        return Ok(None);
    }
    gateway.sockets.admit(ip, Now::read()).map(Some)
}

/// Each shard has its share of the gateway's handshakes in flight.
fn handshake_places(shard: &Shard) -> Arc<Semaphore> {
    let config = &shard.gateway.config;
    Arc::new(Semaphore::new(config.limits.handshakes_in_flight_max.div_ceil(config.shards)))
}

async fn serve(shard: Rc<Shard>, socket: TcpStream, address: SocketAddr, places: SocketPlaces) {
    if prepare(&socket).is_err() {
        return;
    }
    let peer = Peer { socket: address, tls: shard.gateway.tls.is_some() };
    match &shard.gateway.tls {
        None => serve_http(shard, socket, peer, places).await,
        Some(acceptor) => {
            let within = shard.gateway.config.limits.tls_handshake_timeout;
            match tokio::time::timeout(within, acceptor.0.accept(socket)).await {
                Ok(Ok(stream)) => serve_http(shard, stream, peer, places).await,
                Ok(Err(error)) => debug!(event = "tls.refused", error = %error, "no TLS handshake"),
                Err(_) => debug!(event = "tls.timeout", "the TLS handshake took too long"),
            }
        }
    }
}

/// Without it an unread socket swallows 4 MB before a slow client is noticed.
fn prepare(socket: &TcpStream) -> std::io::Result<()> {
    const UNSENT_BYTES: u32 = 16 * 1024;
    socket.set_nodelay(true)?;
    socket2::SockRef::from(socket).set_tcp_notsent_lowat(UNSENT_BYTES)
}

async fn serve_http<S>(shard: Rc<Shard>, stream: S, peer: Peer, places: SocketPlaces)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = &shard.gateway.config.limits;
    #[expect(clippy::disallowed_methods, reason = "the one server, with timer and limits")]
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.handshake_timeout)
        .max_headers(limits.headers_max)
        .max_header_size(limits.header_bytes_max);
    // The first answer ends the handshake; what follows on the socket is API traffic.
    let place = RefCell::new(places.handshake);
    let stopping = shard.gateway.stopping.clone();
    let service = service_fn(|request| {
        let (shard, place) = (Rc::clone(&shard), place.take());
        async move {
            let response = route(&shard, peer, request).await;
            drop(place);
            Ok::<_, Infallible>(response)
        }
    });
    let connection = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
    tokio::pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        debug!(event = "http.ended", error = %error, "an HTTP connection ended early");
    }
}

async fn route(shard: &Rc<Shard>, peer: Peer, request: Request<Incoming>) -> Response {
    if let Some(refused) = refusal(shard, &request) {
        return refused;
    }
    let path = String::from(request.uri().path());
    let id = shard.gateway.connection_id();
    let handshake =
        Handshake { path: &path, query: request.uri().query().unwrap_or(""), connection: id };
    for &protocol in PROTOCOLS {
        if let Some(accepted) = protocol.accept(&handshake) {
            let asked = upgrade::Asked { protocol, accepted, id, peer };
            return upgrade::upgrade(shard, request, asked).await;
        }
    }
    for &protocol in PROTOCOLS {
        if let Some(api) = protocol.server_api().filter(|api| api.owns(&path)) {
            return dialect_api::serve(shard, protocol, api, request).await;
        }
    }
    if path.starts_with(api::PREFIX) {
        return api::serve(shard, request).await;
    }
    page(shard, peer, &request).unwrap_or_else(|| {
        let detail = "nothing is served here; clients connect at /app/<key> or /a/<app>/raw, \
                      servers publish at /v1/apps/<app>/publish";
        // Behind an upgrade that was refused may come frames, which are no requests.
        let answer = match request.headers().contains_key(header::UPGRADE) {
            true => problem::closing,
            false => problem::response,
        };
        answer(&shard.gateway, StatusCode::NOT_FOUND, Reason::NotFound.word(), detail)
    })
}

fn page(shard: &Shard, peer: Peer, request: &Request<Incoming>) -> Option<Response> {
    let page = shard.gateway.page.as_ref().filter(|_| request.method() == Method::GET)?;
    // Behind a proxy the socket's other end says nothing about who asks.
    let forwarded = |name: &HeaderName| {
        let name = name.as_str();
        matches!(name, "via" | "forwarded" | "x-real-ip") || name.starts_with("x-forwarded-")
    };
    if request.headers().keys().any(forwarded) {
        return None;
    }
    let host = request.headers().get(header::HOST)?.to_str().ok()?;
    let (content_type, body) = page.get(request.uri().path(), host, peer.socket.ip())?;
    let response = hyper::Response::builder()
        .header(header::CONTENT_TYPE, content_type)
        .header(header::CACHE_CONTROL, "no-store")
        .header(header::CONTENT_SECURITY_POLICY, page.security_policy())
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        .header(header::X_FRAME_OPTIONS, "DENY")
        .header(header::REFERRER_POLICY, "no-referrer")
        .header("cross-origin-opener-policy", "same-origin")
        .header("cross-origin-resource-policy", "same-origin")
        .body(Full::new(body));
    Some(response.expect("a content type and a policy are header values"))
}

/// What hyper lets pass and we do not: RFC 9112, sections 3.2 and 6.
fn refusal(shard: &Shard, request: &Request<Incoming>) -> Option<Response> {
    let bad = |detail: &str| {
        let code = Reason::BadMessage.word();
        problem::closing(&shard.gateway, StatusCode::BAD_REQUEST, code, detail)
    };
    let headers = request.headers();
    if target_bytes(request.uri()) > shard.gateway.config.limits.target_bytes_max {
        let detail = "the request target is too long";
        return Some(problem::closing(
            &shard.gateway,
            StatusCode::URI_TOO_LONG,
            Reason::TooLarge.word(),
            detail,
        ));
    }
    if request.version() != Version::HTTP_11 {
        return Some(bad("use HTTP/1.1"));
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Some(bad("send exactly one Host header"));
    };
    if request.uri().authority().is_some_and(|authority| authority.as_str() != host) {
        return Some(bad("the request target names another host than the Host header"));
    }
    if headers.contains_key(header::CONTENT_LENGTH)
        && headers.contains_key(header::TRANSFER_ENCODING)
    {
        return Some(bad("send Content-Length or Transfer-Encoding, not both"));
    }
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    if let Some(first) = codings.next()
        && (!first.as_bytes().eq_ignore_ascii_case(b"chunked") || codings.next().is_some())
    {
        return Some(bad("the only Transfer-Encoding is chunked, once"));
    }
    None
}

fn target_bytes(uri: &Uri) -> usize {
    uri.path_and_query().map_or(0, |target| target.as_str().len())
}

/// Who is really there: the socket's other end, or whom trusted proxies say they speak for.
pub(crate) fn client_ip(shard: &Shard, peer: Peer, request: &Request<Incoming>) -> IpAddr {
    let forwarded = request.headers().get_all("x-forwarded-for");
    let values: Vec<&[u8]> = forwarded.iter().map(|value| value.as_bytes()).collect();
    let trusted = &shard.gateway.config.trusted_proxies;
    client_address(peer.socket.ip(), values.into_iter(), trusted)
}
