//! One HTTP request and its answer, over a connection of its own.

use std::net::SocketAddr;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::PATIENCE;

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        header.map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> anyhow::Result<serde_json::Value> {
        serde_json::from_str(&self.body).with_context(|| format!("no JSON: {}", self.body))
    }
}

pub async fn get(address: SocketAddr, target: &str) -> anyhow::Result<Answer> {
    send(address, "GET", target, &[], b"").await
}

/// Sends a request with these headers beside Host, Connection and, with a body, Content-Length.
pub async fn send(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> anyhow::Result<Answer> {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {address}\r\n");
    let connection = ("Connection", "close");
    let own = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(connection.0));
    for (name, value) in headers.iter().chain((!own).then_some(&connection)) {
        head += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    head += "\r\n";
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body).await?;
        let mut answer = Vec::new();
        while stream.read_buf(&mut answer).await? > 0 {
            // After an upgrade the end of the stream is not the end of the answer.
            if answer.starts_with(b"HTTP/1.1 101") && answer.ends_with(b"\r\n\r\n") {
                break;
            }
        }
        anyhow::Ok(answer)
    };
    let answer = tokio::time::timeout(PATIENCE, exchange).await.context("no answer")??;
    parse(&String::from_utf8(answer)?)
}

/// Asks for an upgrade and gives the answer where there is none; an upgrade is an error.
pub async fn refused_upgrade(address: SocketAddr, target: &str) -> anyhow::Result<Answer> {
    let headers = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let answer = send(address, "GET", target, &headers, b"").await?;
    anyhow::ensure!(answer.status != 101, "was let in");
    Ok(answer)
}

fn parse(text: &str) -> anyhow::Result<Answer> {
    let (head, body) = text.split_once("\r\n\r\n").context("no end of the headers")?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).context("no status")?;
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (String::from(name), String::from(value.trim())));
    let mut answer =
        Answer { status: status.parse()?, headers: headers.collect(), body: String::from(body) };
    if answer.header("transfer-encoding") == Some("chunked") {
        answer.body = unchunked(body)?;
    }
    Ok(answer)
}

fn unchunked(mut rest: &str) -> anyhow::Result<String> {
    let mut body = String::new();
    while let Some((size, chunk)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16)?;
        if size == 0 {
            return Ok(body);
        }
        body += chunk.get(..size).context("a chunk ends early")?;
        rest = chunk.get(size + 2..).context("a chunk ends early")?;
    }
    anyhow::bail!("no last chunk")
}
