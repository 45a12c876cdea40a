//! TLS on the callers' listener, with a certificate that a reload can replace.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
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
    let config = builder()?.with_no_client_auth().with_cert_resolver(certificate);
    Ok(offering(config, &[b"h2", b"http/1.1"]))
}

/// An acceptor that offers HTTP/2 alone, to clients that these authorities vouch for.
///
/// # Errors
/// The authorities cannot be used.
pub(crate) fn acceptor_for(certificate: Arc<Certificate>, clients: RootCertStore) -> Result<TlsAcceptor, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(clients), provider).build();
    let verifier = verifier.map_err(|error| error.to_string())?;
    let builder = builder().map_err(|error| error.to_string())?;
    Ok(offering(builder.with_client_cert_verifier(verifier).with_cert_resolver(certificate), &[b"h2"]))
}

fn builder() -> Result<rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()
}

fn offering(mut config: ServerConfig, protocols: &[&[u8]]) -> TlsAcceptor {
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}
