//! A WebSocket client for tests: every wait has a deadline.

use std::fmt::Debug;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use ring::hmac;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::http::Uri;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// How long a test waits for what should come at once; the machine is small and busy.
pub const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub struct Client {
    socket: WebSocketStream<Box<dyn Stream>>,
}

/// What a client can speak over.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + Debug {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + Debug> Stream for S {}

impl Client {
    pub async fn connect(url: &str) -> anyhow::Result<Self> {
        let stream = tokio::time::timeout(PATIENCE, TcpStream::connect(authority(url)?));
        let stream = stream.await.context("no connection")??;
        stream.set_nodelay(true)?;
        Self::over(stream, url).await
    }

    /// A client that the kernel holds little for: it becomes slow as soon as it stops reading.
    pub async fn connect_narrow(url: &str) -> anyhow::Result<Self> {
        const RECEIVE_BYTES: u32 = 4096;
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(RECEIVE_BYTES)?;
        let address = authority(url)?.parse()?;
        let stream = tokio::time::timeout(PATIENCE, socket.connect(address));
        Self::over(stream.await.context("no connection")??, url).await
    }

    /// Speaks over a stream that is open already: TLS, say.
    pub async fn over(stream: impl Stream + 'static, url: &str) -> anyhow::Result<Self> {
        // A thousand clients of the default size would be most of the test's memory.
        let config = WebSocketConfig::default().read_buffer_size(4096).write_buffer_size(0);
        let stream: Box<dyn Stream> = Box::new(stream);
        let shaken = tokio_tungstenite::client_async_with_config(url, stream, Some(config));
        let shaken = tokio::time::timeout(PATIENCE, shaken);
        let (socket, _) = shaken.await.context("no answer to the handshake")??;
        Ok(Self { socket })
    }

    /// Connects as a Pusher client, past the greeting; gives its socket id.
    pub async fn pusher(url: &str) -> anyhow::Result<(Self, String)> {
        let mut client = Self::connect(url).await?;
        let greeting = client.event("pusher:connection_established").await?;
        let data: Value = serde_json::from_str(greeting["data"].as_str().context("data")?)?;
        let id = data["socket_id"].as_str().context("socket_id")?;
        Ok((client, String::from(id)))
    }

    /// Subscribes as a Pusher client and waits for the confirmation, which it gives back.
    pub async fn subscribe(&mut self, channel: &str, auth: &str) -> anyhow::Result<Value> {
        let data = json!({"channel": channel, "auth": auth});
        self.send_json(&json!({"event": "pusher:subscribe", "data": data})).await?;
        self.event("pusher_internal:subscription_succeeded").await
    }

    /// As [`Client::subscribe`], as a member of a presence channel of the app `demo`.
    pub async fn join(&mut self, id: &str, channel: &str, member: &Value) -> anyhow::Result<Value> {
        let member = member.to_string();
        let auth = demo_auth(&format!("{id}:{channel}:{member}"));
        let data = json!({"channel": channel, "auth": auth, "channel_data": member});
        self.send_json(&json!({"event": "pusher:subscribe", "data": data})).await?;
        self.event("pusher_internal:subscription_succeeded").await
    }

    pub async fn send(&mut self, message: Message) -> anyhow::Result<()> {
        Ok(self.socket.send(message).await?)
    }

    pub async fn send_text(&mut self, text: &str) -> anyhow::Result<()> {
        self.send(Message::text(text)).await
    }

    pub async fn send_json(&mut self, value: &Value) -> anyhow::Result<()> {
        self.send_text(&value.to_string()).await
    }

    /// The next message, pings and pongs aside.
    pub async fn next(&mut self) -> anyhow::Result<Message> {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.socket.next());
            match next.await.context("nothing came in time")? {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(message) => return Ok(message?),
                None => bail!("the stream ended"),
            }
        }
    }

    pub async fn text(&mut self) -> anyhow::Result<String> {
        match self.next().await? {
            Message::Text(text) => Ok(text.as_str().to_owned()),
            other => bail!("expected text, got {other:?}"),
        }
    }

    pub async fn binary(&mut self) -> anyhow::Result<Bytes> {
        match self.next().await? {
            Message::Binary(bytes) => Ok(bytes),
            other => bail!("expected binary, got {other:?}"),
        }
    }

    pub async fn json(&mut self) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&self.text().await?)?)
    }

    /// The next message, which must be this event.
    pub async fn event(&mut self, name: &str) -> anyhow::Result<Value> {
        let message = self.json().await?;
        anyhow::ensure!(message["event"] == name, "expected {name}, got {message}");
        Ok(message)
    }

    /// Reads to the end; the close code and text, `None` if the socket just ended.
    pub async fn closed(&mut self) -> anyhow::Result<Option<(u16, String)>> {
        loop {
            match self.next().await {
                Ok(Message::Close(frame)) => {
                    return Ok(frame.map(|f| (f.code.into(), f.reason.as_str().to_owned())));
                }
                Ok(_) => {}
                Err(error) if error.to_string().contains("in time") => return Err(error),
                Err(_) => return Ok(None),
            }
        }
    }

    /// Whether nothing comes for a while.
    pub async fn is_silent(&mut self, span: Duration) -> bool {
        tokio::time::timeout(span, self.socket.next()).await.is_err()
    }
}

/// The `auth` of a Pusher subscription: HMAC-SHA256 of `message` under `secret`, behind the key.
pub fn pusher_auth(key: &str, secret: &str, message: &str) -> String {
    format!("{key}:{}", hmac_hex(secret, message))
}

/// The `auth` of a subscription in the app `demo`.
pub fn demo_auth(message: &str) -> String {
    pusher_auth("demokey", "demo-secret-0123456789", message)
}

/// The path of a raw client of the app `demo` whose backend has signed for these parameters.
pub fn presigned(parameters: &[(&str, &str)]) -> String {
    let expires = (runtime::clock::unix_seconds() + 300).to_string();
    let mut all = vec![("key", "demokey"), ("expires", expires.as_str())];
    all.extend(parameters);
    let app = model::AppCode::parse("demo").expect("a code");
    let message = protocol::raw::sign::message(&app, &all);
    let signature = hmac_hex("demo-secret-0123456789", &message);
    let query: String = all.iter().map(|(name, value)| format!("{name}={value}&")).collect();
    format!("/a/demo/raw?{query}signature={signature}")
}

fn authority(url: &str) -> anyhow::Result<String> {
    let uri: Uri = url.parse()?;
    Ok(uri.authority().context("a URL with a host")?.to_string())
}

/// HMAC-SHA256 in lower-case hex.
pub fn hmac_hex(secret: &str, message: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let digest = hmac::sign(&key, message.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
