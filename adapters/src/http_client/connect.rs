//! Opening a connection: name, TCP, TLS, protocol version.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::dial::dial;
use super::h1::H1;
use super::h2::H2;
use super::opening::{Opening, Shared};
use super::origin::OriginError;
use super::pool::Lane;
use super::transport::Failure;
use super::{ClientSettings, Http2, HttpClient, Identity};

/// Counts one open connection for as long as its socket lives.
struct OpenGuard(Arc<AtomicUsize>);

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
        let wrong = |error: rustls::Error| OriginError(error.to_string());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(wrong)?
            .with_root_certificates(roots);
        let mut config = match &settings.identity {
            None => config.with_no_client_auth(),
            Some(identity) => {
                let (chain, key) = identity.parsed()?;
                config.with_client_auth_cert(chain, key).map_err(wrong)?
            }
        };
        config.alpn_protocols = match settings.http2 {
            Http2::Auto => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            Http2::On => vec![b"h2".to_vec()],
            Http2::Off => vec![b"http/1.1".to_vec()],
        };
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }
}

impl Identity {
    fn parsed(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), OriginError> {
        let wrong = |what: &str, error: rustls::pki_types::pem::Error| OriginError(format!("{what}: {error}"));
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.chain).collect();
        let chain = chain.map_err(|error| wrong("the client certificate is not PEM", error))?;
        let key =
            PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| wrong("the client key is not PEM", error))?;
        Ok((chain, key))
    }
}

/// Opens a connection and takes the first request's lane on it.
pub(super) async fn open(client: &HttpClient, limit: Duration, opening: Opening) -> Result<Lane, Failure> {
    match tokio::time::timeout(limit, establish(client, opening)).await {
        Ok(outcome) => outcome,
        Err(_elapsed) => Err(Failure::ConnectTimeout(limit)),
    }
}

async fn establish(client: &HttpClient, opening: Opening) -> Result<Lane, Failure> {
    let settings = &client.settings;
    let wire = wire(client).await?;
    let open = OpenGuard::new(&client.open);
    // Who configured HTTP/2 gets it, also from servers that know no ALPN.
    let shared = if settings.http2 == Http2::On || wire.agreed_on_h2() { Shared::Yes } else { Shared::No };
    opening.agreed(shared);
    let socket = Socket { wire, first_read: None, _open: open };
    if shared == Shared::Yes {
        let connection = H2::handshake(socket, &client.origin, settings, opening).await?;
        return Ok(client.pools.mine().share(connection, super::watch::now()));
    }
    Ok(Lane::H1(H1::new(socket, &client.pools, settings.idle_per_core)))
}

async fn wire(client: &HttpClient) -> Result<Wire, Failure> {
    if let Some(path) = client.origin.socket() {
        return UnixStream::connect(path).await.map(Wire::Unix).map_err(Failure::Connect);
    }
    let tcp = dial(client.origin.host(), client.origin.port()).await.map_err(Failure::Connect)?;
    tcp.set_nodelay(true).map_err(Failure::Connect)?;
    Ok(match &client.tls {
        None => Wire::Plain(tcp),
        Some(tls) => Wire::Tls(Box::new(secure(tls, client.origin.host(), tcp).await.map_err(Failure::Tls)?)),
    })
}

async fn secure(tls: &Tls, host: &str, tcp: TcpStream) -> io::Result<TlsStream<TcpStream>> {
    let name =
        ServerName::try_from(host.to_owned()).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    tls.0.connect(name, tcp).await
}

/// A provider's socket.
pub(super) struct Socket {
    wire: Wire,
    /// Told once the provider has sent something.
    first_read: Option<oneshot::Sender<()>>,
    _open: OpenGuard,
}

enum Wire {
    Plain(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    fn agreed_on_h2(&self) -> bool {
        matches!(self, Self::Tls(tls) if tls.get_ref().1.alpn_protocol() == Some(b"h2"))
    }
}

impl Socket {
    /// Resolves once the provider has sent its first bytes.
    pub(super) fn first_read(&mut self) -> oneshot::Receiver<()> {
        let (tell, told) = oneshot::channel();
        self.first_read = Some(tell);
        told
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let polled = match &mut self.wire {
            Wire::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Wire::Unix(unix) => Pin::new(unix).poll_read(cx, buf),
            Wire::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        };
        if polled.is_ready()
            && let Some(tell) = self.first_read.take()
        {
            // Nobody listens any more where the connection has ended already.
            let _ = tell.send(());
        }
        polled
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.wire {
            Wire::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Wire::Unix(unix) => Pin::new(unix).poll_write(cx, buf),
            Wire::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.wire {
            Wire::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            Wire::Unix(unix) => Pin::new(unix).poll_write_vectored(cx, bufs),
            Wire::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.wire {
            Wire::Plain(tcp) => tcp.is_write_vectored(),
            Wire::Unix(unix) => unix.is_write_vectored(),
            Wire::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.wire {
            Wire::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Wire::Unix(unix) => Pin::new(unix).poll_flush(cx),
            Wire::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.wire {
            Wire::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Wire::Unix(unix) => Pin::new(unix).poll_shutdown(cx),
            Wire::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
