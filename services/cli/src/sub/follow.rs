//! One channel followed over as many connections as it takes.

use std::time::Duration;

use anyhow::anyhow;
use futures_util::{SinkExt as _, StreamExt as _};
use model::{AppCode, ChannelName, UserId};
use tokio::sync::mpsc::Sender;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{self, Message};

use super::backoff::Backoff;
use crate::failure::Failure;
use crate::output::say;
use crate::remote::{self, Address};
use crate::sign::raw::Url;

/// For the gateway to answer the handshake.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// The gateway pings after 25 s of silence: whoever hears nothing for so long is alone.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// A connection that held so long was a good one.
const GOOD_AFTER: Duration = Duration::from_secs(5);
/// A signature is made for each connection: it need not outlive the handshake by much.
const SIGNED_SECONDS: u64 = 300;

#[derive(Debug)]
pub(super) struct Follower {
    pub(super) address: Address,
    pub(super) app: AppCode,
    pub(super) key: String,
    pub(super) channel: ChannelName,
    pub(super) signer: Option<Signer>,
    pub(super) reconnect: bool,
}

pub(super) struct Signer {
    pub(super) secret: String,
    pub(super) user: Option<UserId>,
}

#[derive(Debug)]
pub(super) enum Event {
    Message {
        channel: ChannelName,
        payload: Payload,
    },
    /// For good.
    Ended(anyhow::Error),
}

#[derive(Debug)]
pub(super) enum Payload {
    Text(String),
    Binary(Vec<u8>),
}

/// How one connection ended.
enum End {
    /// Nobody wants more.
    Unwanted,
    /// Coming back may help.
    Lost(anyhow::Error),
    /// It will not.
    Final(anyhow::Error),
}

type Socket = WebSocketStream<remote::Stream>;

impl Follower {
    pub(super) async fn run(self, events: Sender<Event>) {
        let mut backoff = Backoff::default();
        let mut connected_once = false;
        loop {
            let begun = Instant::now();
            let mut listening = false;
            let end = match self.connect().await {
                Ok(socket) => self.listen(socket, &events, &mut listening).await,
                Err(end) => end,
            };
            connected_once |= listening;
            if listening && begun.elapsed() > GOOD_AFTER {
                backoff.reset();
            }
            let error = match end {
                End::Unwanted => return,
                End::Final(error) => return ended(&events, error).await,
                // Where it never worked, more likely a flag is wrong than the gateway away.
                End::Lost(error) if !self.reconnect || !connected_once => {
                    return ended(&events, error).await;
                }
                End::Lost(error) => error,
            };
            let wait = backoff.next();
            say(&format!("{}: {error:#}; again in {:.1} s", self.channel, wait.as_secs_f64()));
            tokio::time::sleep(wait).await;
        }
    }

    async fn connect(&self) -> Result<Socket, End> {
        let stream = remote::connect(&self.address).await.map_err(End::Lost)?;
        let url = format!("{}{}", self.address.web_socket(), self.target());
        let handshake = tokio_tungstenite::client_async(url, stream);
        match tokio::time::timeout(HANDSHAKE_WITHIN, handshake).await {
            Ok(Ok((socket, _))) => Ok(socket),
            Ok(Err(tungstenite::Error::Http(response))) => Err(refused(&response)),
            Ok(Err(error)) => {
                let text = format!("{} does not speak WebSocket (--url)", self.address);
                Err(End::Lost(anyhow::Error::from(error).context(text)))
            }
            Err(_) => {
                let text = format!("{} does not answer the handshake", self.address);
                Err(End::Lost(Failure::Unreachable(text).into()))
            }
        }
    }

    /// Path and query, signed anew.
    fn target(&self) -> String {
        let mut url = Url::new(&self.key);
        url.add("channel", self.channel.as_str());
        if let Some(signer) = &self.signer {
            let expires = runtime::clock::unix_seconds() + SIGNED_SECONDS;
            let user = signer.user.as_ref().map(UserId::as_str);
            url.sign(&self.app, &signer.secret, user, expires);
        }
        url.target(&self.app)
    }

    async fn listen(
        &self,
        mut socket: Socket,
        events: &Sender<Event>,
        listening: &mut bool,
    ) -> End {
        // The gateway answers it after it has subscribed us, or closes because it will not.
        if let Err(error) = socket.send(Message::Ping(Default::default())).await {
            return End::Lost(anyhow::Error::from(error));
        }
        loop {
            let message = match tokio::time::timeout(SILENCE_MAX, socket.next()).await {
                Ok(Some(Ok(message))) => message,
                Ok(Some(Err(error))) => return End::Lost(lost(error)),
                Ok(None) => return End::Lost(anyhow!("the connection ended")),
                Err(_) => return End::Lost(anyhow!("the gateway fell silent")),
            };
            let payload = match message {
                Message::Text(text) => Payload::Text(String::from(text.as_str())),
                Message::Binary(bytes) => Payload::Binary(bytes.to_vec()),
                Message::Close(frame) => return closed(frame),
                Message::Pong(_) if !*listening => {
                    *listening = true;
                    say(&format!("listening to {} at {}", self.channel, self.address));
                    continue;
                }
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
            };
            let event = Event::Message { channel: self.channel.clone(), payload };
            if events.send(event).await.is_err() {
                return End::Unwanted;
            }
        }
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("user", &self.user).finish_non_exhaustive()
    }
}

async fn ended(events: &Sender<Event>, error: anyhow::Error) {
    // Nobody there to tell: then nobody asks.
    let _ = events.send(Event::Ended(error)).await;
}

fn lost(error: tungstenite::Error) -> anyhow::Error {
    match error {
        tungstenite::Error::Protocol(
            tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
        ) => anyhow!("the connection broke"),
        error => anyhow::Error::from(error).context("the connection broke"),
    }
}

/// A gateway's codes: 4000-4099 and those of HTTP's statuses are final, but for 4429.
fn closed(frame: Option<CloseFrame>) -> End {
    let Some(frame) = frame else { return End::Lost(anyhow!("the gateway closed the connection")) };
    let code = u16::from(frame.code);
    let flags = match code {
        4004 => " (--app, --key)",
        4401 => " (--secret-file)",
        _ => "",
    };
    let error = anyhow!("the gateway closed the connection: {code} {}{flags}", frame.reason);
    match code {
        4429 | 4200..=4299 => End::Lost(error),
        1002 | 1003 | 1007..=1010 | 4000..=4999 => End::Final(error),
        _ => End::Lost(error),
    }
}

fn refused(response: &http::Response<Option<Vec<u8>>>) -> End {
    let status = response.status();
    let problem = response.body().as_deref().unwrap_or_default();
    let problem = serde_json::from_slice::<serde_json::Value>(problem).ok();
    let detail = problem.as_ref().and_then(|problem| problem.get("detail")?.as_str());
    let flags = match status.as_u16() {
        401 => " (--app, --key, --secret-file)",
        404 => " (--url)",
        _ => "",
    };
    let reason = status.canonical_reason().unwrap_or_default();
    let text = format!(
        "the gateway refused the connection: {} {}{flags}",
        status.as_u16(),
        detail.unwrap_or(reason)
    );
    if status.is_server_error() || status.as_u16() == 429 {
        // It is there and cannot take us: to a script that is as if it were away.
        End::Lost(Failure::Unreachable(text).into())
    } else {
        End::Final(anyhow!(text))
    }
}
