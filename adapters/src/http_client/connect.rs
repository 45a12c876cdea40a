//! Opening a connection: name, TCP, TLS, protocol version.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::h1::H1;
use super::h2::H2;
use super::origin::OriginError;
use super::pool::Lane;
use super::transport::Failure;
use super::{ClientSettings, Http2, HttpClient};

/// Counts one open connection for as long as it lives.
pub(super) struct OpenGuard(Arc<AtomicUsize>);

impl OpenGuard {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for OpenGuard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// TLS towards one origin.
pub(super) struct Tls(TlsConnector);

impl Tls {
    pub(super) fn new(settings: &ClientSettings) -> Result<Self, OriginError> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(pem) = &settings.extra_roots {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|error| OriginError(format!("ca_file is not PEM: {error}")))?;
                roots.add(certificate).map_err(|error| OriginError(format!("ca_file: {error}")))?;
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| OriginError(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = match settings.http2 {
            Http2::Auto => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            Http2::On => vec![b"h2".to_vec()],
            Http2::Off => vec![b"http/1.1".to_vec()],
        };
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }
}

/// Opens a connection and takes the first request's lane on it.
pub(super) async fn open(client: &HttpClient, limit: Duration) -> Result<Lane, Failure> {
    match tokio::time::timeout(limit, establish(client)).await {
        Ok(outcome) => outcome,
        Err(_elapsed) => Err(Failure::ConnectTimeout(limit)),
    }
}

async fn establish(client: &HttpClient) -> Result<Lane, Failure> {
    let tcp = dial(client.origin.host(), client.origin.port()).await.map_err(Failure::Connect)?;
    tcp.set_nodelay(true).map_err(Failure::Connect)?;
    let open = OpenGuard::new(&client.open);
    let (socket, h2) = match &client.tls {
        None => (Socket::Plain(tcp), client.settings.http2 == Http2::On),
        Some(tls) => {
            let tls = secure(tls, client.origin.host(), tcp).await.map_err(Failure::Tls)?;
            let h2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
            (Socket::Tls(Box::new(tls)), h2)
        }
    };
    if h2 {
        let connection = H2::handshake(socket, &client.origin, open).await?;
        return Ok(client.pools.mine().share(connection, super::watch::now()));
    }
    Ok(Lane::H1(H1::handshake(socket, &client.pools, client.settings.idle_per_core, open).await?))
}

/// Tries the host's addresses in the order that the resolver gives.
async fn dial(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, format!("no address for {host}"));
    for address in tokio::net::lookup_host((host, port)).await? {
        match TcpStream::connect(address).await {
            Ok(tcp) => return Ok(tcp),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn secure(tls: &Tls, host: &str, tcp: TcpStream) -> io::Result<TlsStream<TcpStream>> {
    let name =
        ServerName::try_from(host.to_owned()).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    tls.0.connect(name, tcp).await
}

/// A socket with or without TLS.
pub(super) enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            Self::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(tcp) => tcp.is_write_vectored(),
            Self::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
