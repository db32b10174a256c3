//! TLS 1.2 and 1.3 by rustls, from a certificate and a key file.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::config::TlsFiles;

/// Why there is no TLS; names the file and what to do, never what the file holds.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("tls.certificate {0} has no certificate in PEM form that can be read")]
    Certificate(PathBuf, #[source] Option<rustls::pki_types::pem::Error>),
    #[error("tls.key {0} has no unencrypted private key in PEM form that can be read")]
    Key(PathBuf, #[source] rustls::pki_types::pem::Error),
    #[error("tls.certificate and tls.key do not belong together, or are of a kind not supported")]
    Pair(#[source] rustls::Error),
}

/// Ends TLS; printed as what it is, since rustls' own types hold keys.
#[derive(Clone)]
pub(crate) struct Acceptor(pub(crate) TlsAcceptor);

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Acceptor")
    }
}

pub(crate) fn acceptor(files: &TlsFiles) -> Result<Acceptor, TlsError> {
    let unreadable = |error| TlsError::Certificate(files.certificate.clone(), error);
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect)
        .map_err(|error| unreadable(Some(error)))?;
    if chain.is_empty() {
        return Err(unreadable(None));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| TlsError::Key(files.key.clone(), error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Pair)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(TlsError::Pair)?;
    // The public port speaks HTTP/1.1 only.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Acceptor(TlsAcceptor::from(Arc::new(config))))
}
