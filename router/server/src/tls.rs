//! TLS on the callers' listener, with a certificate that a reload can replace.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

/// The certificate in force. Handshakes read it; a reload replaces it; connections that are open
/// keep what they agreed on.
#[derive(Debug, Default)]
pub(crate) struct Certificate(ArcSwapOption<CertifiedKey>);

impl Certificate {
    /// Puts a certificate in force.
    pub(crate) fn put(&self, certified: Arc<CertifiedKey>) {
        self.0.store(Some(certified));
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load_full()
    }
}

/// An acceptor that offers HTTP/2 and HTTP/1.1.
///
/// # Errors
/// The TLS library refuses its own defaults.
pub(crate) fn acceptor(certificate: Arc<Certificate>) -> Result<TlsAcceptor, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
