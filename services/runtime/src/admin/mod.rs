//! The admin listener: liveness, readiness and metrics, on a thread of its own, so that a scrape
//! delays no shard and a stuck shard does not hide behind an answer that cannot be given.

mod health;

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use axum::Router;
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderName, Method, StatusCode, Uri};
use axum::response::IntoResponse;
use axum::routing::get;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use prometheus::{Encoder, Registry, TEXT_FORMAT, TextEncoder};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::tasks::Tasks;

pub use health::{Beat, Health, Readiness};

#[cfg(test)]
mod tests;

/// Connections served at a time; more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 64;
const HEADERS_MAX: usize = 64;
/// hyper's least.
const HEADER_BYTES_MAX: usize = 8 << 10;
/// How long a client may take to say what it wants.
const HEADER_TIMEOUT: Duration = Duration::from_secs(3);
/// How long it may take in all, a slow reader of a long answer included.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long answers under way are waited for at the end.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);
/// After a failed accept (out of descriptors, mostly): trying at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the admin listener did not start.
#[derive(Debug, thiserror::Error)]
#[error("start the admin listener")]
pub struct Error(#[source] io::Error);

/// The running admin listener. Dropped without [`Admin::stop`], it ends soon after.
#[derive(Debug)]
pub struct Admin {
    address: SocketAddr,
    stop: CancellationToken,
    stopped: mpsc::Receiver<()>,
}

/// Serves `/healthz`, `/readyz` and `/metrics` on `listener` from a new thread.
pub fn start(
    listener: std::net::TcpListener,
    health: Arc<Health>,
    registry: Registry,
) -> Result<Admin, Error> {
    start_inner(listener, health, registry).map_err(Error)
}

impl Admin {
    /// Where it listens: the port that was given when 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections, lets answers under way end, and returns within about a second.
    pub fn stop(self) {
        self.stop.cancel();
        let _ = self.stopped.recv_timeout(STOP_TIMEOUT * 2);
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn start_inner(
    listener: std::net::TcpListener,
    health: Arc<Health>,
    registry: Registry,
) -> io::Result<Admin> {
    let address = listener.local_addr()?;
    listener.set_nonblocking(true)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let listener = {
        let _entered = runtime.enter();
        TcpListener::from_std(listener)?
    };
    let stop = CancellationToken::new();
    let (sender, stopped) = mpsc::sync_channel(1);
    let server = serve(listener, health, registry, stop.clone());
    std::thread::Builder::new().name("admin".to_owned()).spawn(move || {
        runtime.block_on(server);
        let _ = sender.send(());
    })?;
    Ok(Admin { address, stop, stopped })
}

async fn serve(
    listener: TcpListener,
    health: Arc<Health>,
    registry: Registry,
    stop: CancellationToken,
) {
    let tasks = Tasks::new();
    tasks.spawn("admin-observe", observe(Arc::clone(&health), tasks.token()));
    let router = router(health, registry);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &places) => accepted,
        };
        match accepted {
            Ok((stream, place)) => {
                let exchange = exchange(stream, router.clone(), tasks.token());
                tasks.spawn("admin-connection", async move {
                    let _place = place;
                    exchange.await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "admin listener cannot accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    tasks.stop(STOP_TIMEOUT).await;
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

async fn observe(health: Arc<Health>, stop: CancellationToken) {
    let mut every = tokio::time::interval(Duration::from_secs(1));
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while stop.run_until_cancelled(every.tick()).await.is_some() {
        health.observe();
    }
}

/// One request and its answer. Connections are not kept open: what scrapes and probes gain by that
/// is less than a slow one could cost.
#[expect(clippy::disallowed_methods, reason = "the admin listener's own limits, not the gateway's")]
async fn exchange(stream: TcpStream, router: Router, stop: CancellationToken) {
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEADER_BYTES_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    let served = tokio::time::timeout(EXCHANGE_TIMEOUT, async {
        tokio::select! {
            served = connection.as_mut() => return served,
            () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        connection.await
    });
    match served.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "admin request failed"),
        Err(_) => tracing::debug!("admin client took too long"),
    }
}

fn router(health: Arc<Health>, registry: Registry) -> Router {
    let live = Arc::clone(&health);
    Router::new()
        .route("/healthz", get(move || healthz(live)))
        .route("/readyz", get(move || readyz(health)))
        .route("/metrics", get(move || metrics(registry)))
        .fallback(not_found)
        .method_not_allowed_fallback(async |method: Method| {
            let text = format!("{method} is not answered here; use GET\n");
            (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET, HEAD")], text)
        })
}

const NO_STORE: (HeaderName, &str) = (CACHE_CONTROL, "no-store");

async fn healthz(health: Arc<Health>) -> impl IntoResponse {
    let stuck = health.stuck();
    if stuck.is_empty() {
        return (StatusCode::OK, [NO_STORE], "ok\n".to_owned());
    }
    let mut text = String::new();
    for name in stuck {
        writeln!(text, "stuck: {name}").expect("writing to a string cannot fail");
    }
    (StatusCode::SERVICE_UNAVAILABLE, [NO_STORE], text)
}

async fn readyz(health: Arc<Health>) -> impl IntoResponse {
    let readiness = health.readiness();
    let status = match readiness {
        Readiness::Ready => StatusCode::OK,
        Readiness::Starting | Readiness::Draining(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, [NO_STORE], format!("{readiness}\n"))
}

/// Gathers on this thread: callbacks of observable instruments run here and may not wait for a
/// shard.
async fn metrics(registry: Registry) -> axum::response::Response {
    let mut text = Vec::new();
    match TextEncoder::new().encode(&registry.gather(), &mut text) {
        Ok(()) => (StatusCode::OK, [(CONTENT_TYPE, TEXT_FORMAT), NO_STORE], text).into_response(),
        Err(error) => {
            tracing::warn!(%error, "metrics cannot be written as text");
            (StatusCode::INTERNAL_SERVER_ERROR, "metrics cannot be written as text\n")
                .into_response()
        }
    }
}

async fn not_found(uri: Uri) -> impl IntoResponse {
    let text = format!("no {} here; there are /healthz, /readyz and /metrics\n", uri.path());
    (StatusCode::NOT_FOUND, [NO_STORE], text)
}
