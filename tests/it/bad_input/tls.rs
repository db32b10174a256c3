//! H, F and N where TLS is in play: one gateway that speaks nothing else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tests::Gateway;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::ROOMY;
use super::after::Watch;
use super::row::{Door, Row, Step, ends, enter, row};
use super::socket::{Frame, Socket};
use super::wire::{get, text, upgrade};

const RAW: &str = "/a/demo/raw?key=demokey&channel=tls&publish=tls";

/// A certificate of this run, in files, and who trusts it.
struct Certificate {
    files: TempDir,
    roots: RootCertStore,
}

impl Certificate {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed([String::from("localhost")]).expect("one");
        let files = tempfile::tempdir().expect("a folder");
        std::fs::write(files.path().join("tls.crt"), made.cert.pem()).expect("written");
        let key = made.signing_key.serialize_pem();
        std::fs::write(files.path().join("tls.key"), key).expect("written");
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(made.cert.der().to_vec())).expect("a root");
        Self { files, roots }
    }

    fn config(&self) -> String {
        let folder = self.files.path().display();
        let tls =
            format!("[tls]\ncertificate = \"{folder}/tls.crt\"\nkey = \"{folder}/tls.key\"\n");
        ROOMY.replace(
            "[limits]",
            "[limits]\nmessage_timeout = \"1s\"\ntls_handshake_timeout = \"1s\"",
        ) + &tls
    }

    fn client(&self, protocols: &[&str]) -> TlsConnector {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().expect("versions");
        let mut config = builder.with_root_certificates(self.roots.clone()).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
        TlsConnector::from(Arc::new(config))
    }

    async fn connect(
        &self,
        address: SocketAddr,
        name: &'static str,
        protocols: &[&str],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let socket = TcpStream::connect(address).await?;
        let name = ServerName::try_from(name).expect("a name");
        self.client(protocols).connect(name, socket).await
    }

    async fn socket(&self, address: SocketAddr) -> Socket {
        let stream = self.connect(address, "localhost", &[]).await.expect("a TLS connection");
        let local = stream.get_ref().0.local_addr().expect("an address");
        Socket::of(stream, local)
    }

    async fn watch(&self) -> Watch {
        let gateway = Gateway::start(&self.config(), &super::apps()).expect("a gateway");
        let witness = self.socket(gateway.address()).await;
        Watch::over(gateway, witness).await.expect("a witness")
    }
}

pub(super) fn table() -> Vec<Row> {
    let sent =
        |id, what, bytes: Vec<u8>| row(id, what, Door::Tcp, vec![Step::Send(bytes), Step::Alert]);
    let record = |kind: u8, version: u8, payload: &[u8]| {
        let length = u16::try_from(payload.len()).expect("short").to_be_bytes();
        [&[kind, 3, version][..], &length, payload].concat()
    };
    // Just enough of a hello of TLS 1.1: RFC 4346, section 7.4.1.2.
    let hello = [&[1, 0, 0, 41, 3, 2][..], &[7; 32], &[0, 0, 2, 0, 0x2f, 1, 0]].concat();
    vec![
        sent("H-47", "plain HTTP on the TLS port", get("/").bytes()),
        sent("H-47", "a plain upgrade on the TLS port", upgrade(RAW).bytes()),
        sent("H-49", "300 bytes of 0xFF on the TLS port", vec![0xff; 300]),
        sent("N-04", "a hello of TLS 1.1", record(22, 1, &hello)),
        row("N-03", "a hello of which a record is missing", Door::Tcp, {
            vec![Step::Send(record(22, 1, &hello[..20])), ends()]
        }),
        sent("N-04", "application data before a hello", record(23, 3, b"hello")),
        sent("N-04", "a record of a kind that is none", record(99, 3, b"hello")),
        row("N-03", "nothing is sent: tls_handshake_timeout", Door::Tcp, vec![ends()]),
        row("N-03", "half a hello, then silence", Door::Tcp, {
            vec![Step::Send(record(22, 1, &hello)[..20].to_vec()), ends()]
        }),
    ]
}

#[tokio::test]
async fn tls_is_spoken_or_nothing_is() {
    let certificate = Certificate::new();
    let mut watch = certificate.watch().await;
    let begun = Instant::now();
    watch.run(&table()).await;
    assert!(begun.elapsed() < Duration::from_secs(20), "cut late: {:?}", begun.elapsed());
}

/// N-04: what clients may and may not ask for.
#[tokio::test]
async fn tls_offers_http_1_1_only() {
    let certificate = Certificate::new();
    let mut watch = certificate.watch().await;
    let address = watch.gateway.address();
    let h2 = certificate.connect(address, "localhost", &["h2"]).await;
    assert!(h2.is_err(), "HTTP/2 is not spoken");
    for protocols in [&["h2", "http/1.1"][..], &["http/1.1"], &[]] {
        let stream = certificate.connect(address, "localhost", protocols).await.expect("TLS");
        let (_, session) = stream.get_ref();
        let agreed = session.alpn_protocol().map(<[u8]>::to_vec);
        assert_eq!(agreed, (!protocols.is_empty()).then(|| b"http/1.1".to_vec()));
        assert!(!session.is_early_data_accepted(), "early data can be replayed");
    }
    // One certificate serves every name; a client that checks it refuses.
    assert!(certificate.connect(address, "elsewhere.test", &[]).await.is_err());
    watch.after().await.expect("nothing is left behind");
}

/// F-57: the stream ends, or lies, below the frames.
#[tokio::test]
async fn tls_that_ends_or_breaks_ends_the_connection() {
    let certificate = Certificate::new();
    let mut watch = certificate.watch().await;
    let address = watch.gateway.address();
    for (what, goodbye, bytes) in [
        ("data after close_notify", true, &b"\x17\x03\x03\x00\x05hello"[..]),
        (
            "a record that does not decrypt",
            false,
            b"\x17\x03\x03\x00\x20aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        ),
        ("a record of a kind that is none", false, b"\x63\x03\x03\x00\x05hello"),
        ("plain frames", false, b"\x81\x85\x00\x00\x00\x00hello"),
        ("a record cut short, then the end", false, b"\x17\x03\x03\x00\x20aaaa"),
    ] {
        let mut stream = certificate.connect(address, "localhost", &[]).await.expect("TLS");
        let local = stream.get_ref().0.local_addr().expect("an address");
        stream.write_all(&upgrade(RAW).bytes()).await.expect("sent");
        stream.flush().await.expect("sent");
        let (mut socket, mut session) = stream.into_inner();
        // The answer is the gateway's word that it listens.
        socket.readable().await.expect("an answer");
        if goodbye {
            session.send_close_notify();
            let mut alert = Vec::new();
            session.write_tls(&mut alert).expect("memory takes all");
            socket.write_all(&alert).await.expect("sent");
        }
        socket.write_all(bytes).await.expect("sent");
        if what.contains("the end") {
            socket.shutdown().await.expect("our half ends");
        }
        let given_up = watch.until_let_go(local.port()).await;
        given_up.unwrap_or_else(|error| panic!("{what}: {error}"));
        drop(socket);
        watch.after().await.expect("nothing is left behind");
    }
}

/// F-17 and F-01 inside TLS: the same answers as on a plain socket.
#[tokio::test]
async fn frames_are_judged_inside_tls_too() {
    let certificate = Certificate::new();
    let mut watch = certificate.watch().await;
    let big = "x".repeat(65_537);
    let cases: [(&str, Vec<u8>, u16); 4] = [
        ("unmasked", super::wire::unmasked(0x81, b"x"), 1002),
        ("too large", text(&big), 1009),
        ("not UTF-8", text([0xff]), 1007),
        ("cut short", text("hello")[..8].to_vec(), 1008),
    ];
    for (what, bytes, code) in cases {
        let mut socket = certificate.socket(watch.gateway.address()).await;
        enter(&mut socket, &upgrade(RAW)).await.expect("an upgrade");
        socket.send(&bytes).await.expect("sent");
        let frame = socket.frame().await.unwrap_or_else(|error| panic!("{what}: {error:#}"));
        assert!(matches!(frame, Frame::Close(Some(held), _) if held == code), "{what}: {frame:?}");
        let rest = socket.rest(Duration::from_secs(5)).await.expect("the end");
        assert!(rest.is_empty(), "{what}: more after the close");
        drop(socket);
        watch.after().await.expect("nothing is left behind");
    }
}
