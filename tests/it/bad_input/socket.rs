//! A socket with nothing between: sends any bytes, reads responses and frames as they come.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::wire::{BINARY, CLOSE, FIN, PING, PONG, TEXT};

/// How long an answer may take that should come at once; the machine is small and busy.
pub(super) const PATIENCE: Duration = Duration::from_secs(8);

/// Plain or TLS.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

pub(super) struct Socket {
    stream: Box<dyn Stream>,
    /// Read and not yet asked for.
    buffer: VecDeque<u8>,
    ended: bool,
    pub(super) local: SocketAddr,
}

/// An HTTP response, whole.
#[derive(Clone, Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// A frame of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
}

impl Socket {
    pub(super) async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let local = stream.local_addr()?;
        Ok(Self::of(stream, local))
    }

    pub(super) fn of(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        local: SocketAddr,
    ) -> Self {
        Self { stream: Box::new(stream), buffer: VecDeque::new(), ended: false, local }
    }

    /// Sends, and reads meanwhile, so that neither side waits for the other. A server that has
    /// stopped listening is no error: what it said is what counts.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let Self { stream, buffer, ended, .. } = self;
        let (mut reader, mut writer) = tokio::io::split(stream);
        let write = async {
            let _ = writer.write_all(bytes).await;
            let _ = writer.flush().await;
        };
        let read = async {
            while !*ended {
                *ended = fill(&mut reader, buffer).await;
            }
            std::future::pending::<()>().await;
        };
        let sent = async {
            tokio::select! {
                () = write => {}
                () = read => {}
            }
        };
        tokio::time::timeout(PATIENCE, sent).await.context("the gateway does not read on")
    }

    /// Sends without reading; false once nothing is taken any more.
    pub(super) async fn send_only(&mut self, bytes: &[u8], within: Duration) -> bool {
        let sent = tokio::time::timeout(within, self.stream.write_all(bytes));
        matches!(sent.await, Ok(Ok(())))
    }

    /// Ends our half.
    pub(super) async fn finish(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    pub(super) async fn response(&mut self) -> anyhow::Result<Response> {
        let head = self.until(b"\r\n\r\n").await.context("no response")?;
        let head = String::from_utf8(head).context("a head that is not text")?;
        let mut lines = head.trim_end().split("\r\n");
        // A request in 1.0 is refused in 1.0.
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1."));
        let status = status.and_then(|line| line.get(2..5)?.parse().ok());
        let status = status.with_context(|| format!("no status: {head:?}"))?;
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), String::from(value.trim())))
            .collect();
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let length = length.map_or(Ok(0), |(_, value)| value.parse::<usize>())?;
        let body = self.take(length).await.context("a body cut short")?;
        Ok(Response { status, headers, body })
    }

    pub(super) async fn frame(&mut self) -> anyhow::Result<Frame> {
        let head = self.take(2).await.context("no frame")?;
        ensure!(head[0] & FIN != 0 && head[0] & 0x70 == 0, "a fragment, or a reserved bit");
        ensure!(head[1] & 0x80 == 0, "a masked frame");
        let length = match head[1] {
            126 => {
                let bytes = self.take(2).await?;
                usize::from(u16::from_be_bytes([bytes[0], bytes[1]]))
            }
            127 => {
                let bytes: [u8; 8] = self.take(8).await?.try_into().expect("eight bytes");
                usize::try_from(u64::from_be_bytes(bytes))?
            }
            short => usize::from(short),
        };
        let payload = self.take(length).await.context("a frame cut short")?;
        Ok(match head[0] & 0x0f {
            TEXT => Frame::Text(String::from_utf8(payload)?),
            BINARY => Frame::Binary(payload),
            PING => Frame::Ping(payload),
            PONG => Frame::Pong(payload),
            CLOSE if payload.is_empty() => Frame::Close(None, String::new()),
            CLOSE => {
                ensure!(payload.len() >= 2, "a close frame of one byte");
                let code = u16::from_be_bytes([payload[0], payload[1]]);
                Frame::Close(Some(code), String::from_utf8(payload[2..].to_vec())?)
            }
            other => bail!("a frame of opcode {other}"),
        })
    }

    /// Reads to the end of the stream; gives what came before it.
    pub(super) async fn rest(&mut self, within: Duration) -> anyhow::Result<Vec<u8>> {
        let rest = async {
            while !self.ended {
                self.ended = fill(&mut self.stream, &mut self.buffer).await;
            }
        };
        let ended = tokio::time::timeout(within, rest).await;
        let came: Vec<u8> = self.buffer.drain(..).collect();
        match ended {
            Ok(()) => Ok(came),
            Err(_) => bail!("the socket stays open; came: {:?}", String::from_utf8_lossy(&came)),
        }
    }

    /// Listens for so long; whether the stream has ended. What comes is kept.
    pub(super) async fn ends_within(&mut self, span: Duration) -> bool {
        let listen = async {
            while !self.ended {
                self.ended = fill(&mut self.stream, &mut self.buffer).await;
            }
        };
        tokio::time::timeout(span, listen).await.is_ok()
    }

    async fn until(&mut self, end: &[u8]) -> anyhow::Result<Vec<u8>> {
        loop {
            let bytes = self.buffer.make_contiguous();
            if let Some(at) = bytes.windows(end.len()).position(|window| window == end) {
                return Ok(self.buffer.drain(..at + end.len()).collect());
            }
            self.more().await?;
        }
    }

    async fn take(&mut self, count: usize) -> anyhow::Result<Vec<u8>> {
        while self.buffer.len() < count {
            self.more().await?;
        }
        Ok(self.buffer.drain(..count).collect())
    }

    async fn more(&mut self) -> anyhow::Result<()> {
        let came = String::from_utf8_lossy(self.buffer.make_contiguous()).into_owned();
        ensure!(!self.ended, "the socket ended; came: {came:?}");
        let filled = tokio::time::timeout(PATIENCE, fill(&mut self.stream, &mut self.buffer));
        self.ended = filled.await.with_context(|| format!("nothing more; came: {came:?}"))?;
        Ok(())
    }
}

/// Reads once; true at the end of the stream, a reset included.
async fn fill(stream: &mut (impl AsyncRead + Unpin), buffer: &mut VecDeque<u8>) -> bool {
    let mut bytes = vec![0; 16 * 1024];
    match stream.read(&mut bytes).await {
        Ok(0) | Err(_) => true,
        Ok(n) => {
            buffer.extend(&bytes[..n]);
            false
        }
    }
}

impl Response {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}
