//! TLS 1.2 and 1.3 end to end, with certificates made for the test.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use serde_json::json;
use tempfile::TempDir;
use tests::client::PATIENCE;
use tests::gateway::{ROOMY, binary};
use tests::{Client, Gateway, PusherApi};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Message;

use crate::apps;

const ROOM: &str = "wss://localhost/a/demo/raw?key=demokey&channel=room";
const ONE_MEGABYTE: usize = 1 << 20;

/// A gateway with TLS, and what its clients trust.
struct Secure {
    gateway: Gateway,
    certificate: CertificateDer<'static>,
    _files: TempDir,
}

/// Writes a certificate and a key into a folder.
fn certify(folder: &Path, name: &str) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed([String::from("localhost")]).expect("made");
    let (certificate, key) = (format!("{name}.crt"), format!("{name}.key"));
    std::fs::write(folder.join(certificate), made.cert.pem()).expect("written");
    std::fs::write(folder.join(key), made.signing_key.serialize_pem()).expect("written");
    made.cert.der().clone()
}

impl Secure {
    fn start(limits: &str, apps: &str) -> Self {
        let files = tempfile::tempdir().expect("a folder");
        let certificate = certify(files.path(), "server");
        let tls = format!(
            "[tls]\ncertificate = \"{0}/server.crt\"\nkey = \"{0}/server.key\"\n",
            files.path().display()
        );
        let gateway = Gateway::start(&format!("{ROOMY}{limits}{tls}"), apps).expect("a gateway");
        Self { gateway, certificate, _files: files }
    }

    fn address(&self) -> SocketAddr {
        self.gateway.address()
    }

    fn connector(&self, version: &'static SupportedProtocolVersion) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .expect("a version of rustls")
            .with_root_certificates(roots)
            .with_no_client_auth();
        TlsConnector::from(Arc::new(config))
    }

    async fn stream(&self, version: &'static SupportedProtocolVersion) -> TlsStream<TcpStream> {
        let socket = TcpStream::connect(self.address()).await.expect("connected");
        self.shake(socket, version).await
    }

    async fn shake(
        &self,
        socket: TcpStream,
        version: &'static SupportedProtocolVersion,
    ) -> TlsStream<TcpStream> {
        let name = ServerName::try_from("localhost").expect("a name");
        let shaken = tokio::time::timeout(PATIENCE, self.connector(version).connect(name, socket));
        shaken.await.expect("in time").expect("a TLS handshake")
    }

    async fn client(&self, url: &str) -> Client {
        let stream = self.stream(&rustls::version::TLS13).await;
        Client::over(stream, url).await.expect("a client over TLS")
    }
}

#[tokio::test]
async fn both_versions_carry_both_dialects() {
    let versions = [
        (&rustls::version::TLS12, rustls::ProtocolVersion::TLSv1_2),
        (&rustls::version::TLS13, rustls::ProtocolVersion::TLSv1_3),
    ];
    for (version, name) in versions {
        let secure = Secure::start("", &apps::roomy());
        let stream = secure.stream(version).await;
        assert_eq!(stream.get_ref().1.protocol_version(), Some(name));
        let mut raw = Client::over(stream, ROOM).await.expect("a raw client");
        let stream = secure.stream(version).await;
        let url = "wss://localhost/app/demokey?protocol=7";
        let mut pusher = Client::over(stream, url).await.expect("a Pusher client");
        pusher.event("pusher:connection_established").await.expect("greeted");
        pusher.subscribe("room", "").await.expect("subscribed");
        let mut publisher =
            secure.client("wss://localhost/a/demo/raw?key=demokey&publish=room").await;
        publisher.send_text("first").await.expect("sent");
        // The raw subscriber has no confirmation; what is sent after this it has.
        pusher.event("message").await.expect("a message");
        assert_eq!(raw.text().await.expect("a message"), "first");
        for number in 0..50 {
            publisher.send_text(&number.to_string()).await.expect("sent");
        }
        for number in 0..50 {
            assert_eq!(raw.text().await.expect("a message"), number.to_string());
            let message = pusher.event("message").await.expect("a message");
            assert_eq!(message["data"], number.to_string());
        }
    }
}

const BIG: &str = "frame_bytes_max = \"1MiB\"\nmessage_bytes_max = \"1MiB\"\n\
                   queue_bytes_max = \"1MiB\"\n";

#[tokio::test]
async fn large_messages_pass_both_ways() {
    let apps = apps::with_limits("payload_bytes_max = \"1MiB\"\n");
    let secure = Secure::start(BIG, &apps);
    let url = "wss://localhost/a/demo/raw?key=demokey&channel=room&publish=room";
    let mut client = secure.client(url).await;
    // The second is more than one TLS record, one read, and one socket buffer take.
    for bytes in [100, 900_000, 17 * 1024, ONE_MEGABYTE - 4096, 1] {
        let payload: Vec<u8> = (0..bytes).map(|at| (at % 251) as u8).collect();
        client.send(Message::binary(payload.clone())).await.expect("sent");
        assert!(client.binary().await.expect("it comes back") == payload, "{bytes} bytes differ");
    }
}

/// What TLS has decrypted before the WebSocket begins must not be forgotten until more comes.
#[tokio::test]
async fn frames_behind_the_request_are_not_left_behind() {
    for bytes in [10_usize, 5_000, 15_000, 40_000] {
        let secure = Secure::start("", &apps::roomy());
        let mut stream = secure.stream(&rustls::version::TLS13).await;
        let mut sent = Vec::from(
            &b"GET /a/echo/raw?key=echokey HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
               Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
               Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"[..],
        );
        // A binary frame, masked with zeros.
        sent.extend([0x82, 0xfe]);
        sent.extend(u16::try_from(bytes).expect("short").to_be_bytes());
        sent.extend([0; 4]);
        sent.extend(std::iter::repeat_n(7, bytes));
        if bytes < 126 {
            let header = sent.len() - bytes - 8;
            sent.splice(header.., [0x82, 0x80 | bytes as u8, 0, 0, 0, 0]);
            sent.extend(std::iter::repeat_n(7, bytes));
        }
        stream.write_all(&sent).await.expect("sent");
        stream.flush().await.expect("sent");
        let echo = tokio::time::timeout(PATIENCE, async {
            let mut got = Vec::new();
            while got.iter().filter(|byte| **byte == 7).count() < bytes {
                let n = stream.read_buf(&mut got).await.expect("read");
                assert_ne!(n, 0, "ended early for {bytes}: {:?}", String::from_utf8_lossy(&got));
            }
        });
        assert!(echo.await.is_ok(), "{bytes} bytes behind the request were left behind");
    }
}

#[tokio::test]
async fn a_slow_reader_finds_its_close_code() {
    let secure = Secure::start("queue_bytes_max = \"64KiB\"\n", &apps::roomy());
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("set");
    let socket = socket.connect(secure.address()).await.expect("connected");
    let stream = secure.shake(socket, &rustls::version::TLS13).await;
    let mut slow = Client::over(stream, ROOM).await.expect("a raw client");
    let mut healthy = secure.client(ROOM).await;
    let url = "wss://localhost/a/demo/raw?key=demokey&publish=room";
    let mut publisher = secure.client(url).await;
    // Both are in before the first: each subscribes with its handshake, but is not told.
    tests::eventually("both are in", async || {
        let metrics = secure.gateway.metrics();
        (metrics.sum("wharf_gateway_subscription_active", &[]) == 2.0).then_some(())
    })
    .await;
    const TOTAL: usize = 60;
    for number in 0..TOTAL {
        let text = format!("{number} {}", "x".repeat(8 * 1024));
        publisher.send_text(&text).await.expect("sent");
        assert_eq!(healthy.text().await.expect("a message"), text);
    }
    let mut read = 0;
    let code = loop {
        match slow.next().await.expect("a message, or a close frame") {
            Message::Text(text) => {
                assert!(text.starts_with(&format!("{read} ")), "a gap before message {read}");
                read += 1;
            }
            Message::Close(frame) => break frame.map(|frame| u16::from(frame.code)),
            other => panic!("neither text nor close: {other:?}"),
        }
    };
    assert_eq!(code, Some(4201));
    assert!(read < TOTAL);
}

#[tokio::test]
async fn many_clients_at_once() {
    const CLIENTS: usize = 60;
    let secure = Arc::new(Secure::start("", &apps::roomy()));
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let secure = Arc::clone(&secure);
        clients.spawn(async move {
            let mut client = secure.client("wss://localhost/a/echo/raw?key=echokey").await;
            let text = number.to_string();
            client.send_text(&text).await.expect("sent");
            assert_eq!(client.text().await.expect("an echo"), text);
        });
    }
    clients.join_all().await;
}

/// A ClientHello of TLS 1.1: RFC 4346, section 7.4.1.2.
#[tokio::test]
async fn an_old_version_is_refused() {
    let secure = Secure::start("", &apps::roomy());
    let mut hello = vec![0x03, 0x02];
    hello.extend([9; 32]);
    hello.push(0);
    hello.extend([0, 4, 0xc0, 0x14, 0x00, 0x2f]);
    hello.extend([1, 0]);
    let mut message = vec![1, 0];
    message.extend(u16::try_from(hello.len()).expect("short").to_be_bytes());
    message.extend(hello);
    let mut record = vec![22, 3, 1];
    record.extend(u16::try_from(message.len()).expect("short").to_be_bytes());
    record.extend(message);
    let mut socket = TcpStream::connect(secure.address()).await.expect("connected");
    socket.write_all(&record).await.expect("sent");
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut answer));
    read.await.expect("in time").expect("an alert and the end");
    const ALERT: u8 = 21;
    assert_eq!(answer.first(), Some(&ALERT), "{answer:?}");
    const FATAL: u8 = 2;
    assert_eq!(answer.get(5), Some(&FATAL), "{answer:?}");
}

#[tokio::test]
async fn who_says_nothing_or_half_is_closed() {
    let secure = Secure::start("tls_handshake_timeout = \"200ms\"\n", &apps::roomy());
    for begun in [&b""[..], b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\n\r\n"] {
        let mut socket = TcpStream::connect(secure.address()).await.expect("connected");
        socket.write_all(begun).await.expect("sent");
        let mut rest = Vec::new();
        let read = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut rest));
        // With an alert, at its end, or with a reset: it ends.
        let _ = read.await.expect("closed in time");
        assert!(!rest.starts_with(b"HTTP"), "it spoke without TLS");
    }
    let mut client = secure.client("wss://localhost/a/echo/raw?key=echokey").await;
    client.send_text("still served").await.expect("sent");
    assert_eq!(client.text().await.expect("an echo"), "still served");
}

#[tokio::test]
async fn apis_are_served_over_tls() {
    let secure = Secure::start("", &apps::roomy());
    let mut stream = secure.stream(&rustls::version::TLS13).await;
    let request = "GET /v1/openapi.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer));
    read.await.expect("in time").expect("an answer and a clean end");
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    // And not without.
    let api = PusherApi::demo(secure.address());
    assert!(api.trigger("room", "tick", &json!("x").to_string()).await.is_err());
}

#[test]
fn a_key_of_another_certificate_is_refused_at_start() {
    let files = tempfile::tempdir().expect("a folder");
    certify(files.path(), "one");
    certify(files.path(), "other");
    let config = "listen = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n[tls]\n\
                  certificate = \"one.crt\"\nkey = \"other.key\"\n";
    std::fs::write(files.path().join("gateway.toml"), config).expect("written");
    std::fs::write(files.path().join("apps.toml"), tests::gateway::APPS).expect("written");
    let mut gateway = std::process::Command::new(binary("wharf-gateway").expect("built"))
        .args(["--config", "gateway.toml"])
        .current_dir(files.path())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("started");
    let status = ended(&mut gateway);
    let mut said = String::new();
    let errors = gateway.stderr.as_mut().expect("piped");
    std::io::Read::read_to_string(errors, &mut said).expect("text");
    assert_eq!(status, Some(78), "{said}");
    assert!(said.contains("tls.certificate and tls.key do not belong together"), "{said}");
}

/// Its exit code; killed if it does not end.
fn ended(process: &mut std::process::Child) -> Option<i32> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while tokio::time::Instant::now() < deadline {
        if let Some(status) = process.try_wait().expect("a child") {
            return status.code();
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
    process.kill().expect("killed");
    None
}
