//! A connection to a gateway, with TLS where its address asks for it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Address;
use crate::failure::Failure;

/// For TCP and TLS together.
const WITHIN: Duration = Duration::from_secs(10);

/// Bytes both ways, in the clear or not.
pub(crate) type Stream = Box<dyn Duplex>;

pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Fails as unreachable, saying which flag says where.
pub(crate) async fn connect(address: &Address) -> anyhow::Result<Stream> {
    match tokio::time::timeout(WITHIN, open(address)).await {
        Ok(opened) => opened,
        Err(_) => {
            let seconds = WITHIN.as_secs();
            Err(unreachable(address, &format!("it did not answer within {seconds} s")).into())
        }
    }
}

async fn open(address: &Address) -> anyhow::Result<Stream> {
    let socket = TcpStream::connect((address.host.as_str(), address.port)).await;
    let socket = socket.map_err(|error| unreachable(address, &said(&error)))?;
    socket.set_nodelay(true).context("set TCP_NODELAY")?;
    if !address.tls {
        return Ok(Box::new(socket));
    }
    let name = ServerName::try_from(address.host.clone()).context("the host is no TLS name")?;
    let stream = connector()?.connect(name, socket).await;
    Ok(Box::new(stream.map_err(|error| {
        Failure::Unreachable(format!(
            "no TLS with {address}: {error}; SSL_CERT_FILE names a PEM file of further certificates \
             to trust"
        ))
    })?))
}

/// Trusts whom this machine trusts, or whom `SSL_CERT_FILE` names.
fn connector() -> anyhow::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        let text = "this machine has no certificates to trust: install ca-certificates, or name a \
                    PEM file in SSL_CERT_FILE";
        return Err(Failure::Config(String::from(text)).into());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn said(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => String::from("nobody listens there"),
        _ => error.to_string(),
    }
}

fn unreachable(address: &Address, why: &str) -> Failure {
    Failure::Unreachable(format!(
        "cannot reach {address}: {why}; is the gateway running? --url says where it is"
    ))
}
