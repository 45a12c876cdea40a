//! The adapter's listener: TCP or a Unix socket, with TLS where it is wanted, HTTP/2 alone.
//!
//! Who owns what: the accept loop owns the listener; each connection is a task that owns its socket. All of them watch
//! one signal: once it says to leave, nothing is accepted, every connection finishes what it has and says so to its
//! router (GOAWAY), and what is left when the patience is over is dropped with its task.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use atp_proto::DESCRIPTORS;
use atp_proto::adapter::v1::adapter_service_server::AdapterServiceServer;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tower_service::Service;

use super::Host;
use super::service::Adapter;
use crate::http_client::Spawn;

/// Bytes that a router may send on one call, and on all of a connection, before any has been read.
const CALL_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// Calls on one connection. Routers open another connection where these are under way.
const CALLS: u32 = 1024;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Where an adapter listens.
#[derive(Debug)]
pub enum Door {
    /// On TCP.
    Tcp(TcpListener),
    /// On a Unix socket, whose file goes with the listener.
    Unix(UnixListener, PathBuf),
}

/// Opens a socket in the file system. A file that a process which is gone has left behind is put out of the way.
///
/// # Errors
/// The path cannot be used, or somebody listens there.
pub async fn claim(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    if path.exists() {
        if tokio::net::UnixStream::connect(path).await.is_ok() {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another process listens there"));
        }
        std::fs::remove_file(path)?;
    }
    let listener = std::os::unix::net::UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            // Another process may have put its own in the place already, or somebody may have removed it.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// How an adapter listens.
#[derive(Clone, Default)]
pub struct Settings {
    /// TLS, where it is wanted.
    pub tls: Option<TlsAcceptor>,
    /// How long calls under way may take once it is leaving.
    pub patience: Duration,
}

/// Serves until `leaving` is true, then until every call has ended or the patience is over.
pub async fn serve(door: Door, host: Host, settings: Settings, leaving: watch::Receiver<bool>) {
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<AdapterServiceServer<Adapter>>().await;
    let rooms = Arc::new(Rooms::new(&host, health));
    let mut connections = JoinSet::new();
    let mut told = leaving.clone();
    loop {
        tokio::select! {
            accepted = accept(&door) => match accepted {
                Ok(socket) => {
                    let connection = connection(socket, settings.tls.clone(), Arc::clone(&rooms), leaving.clone());
                    connections.spawn(connection);
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            () = until(&mut told) => break,
        }
    }
    host.health().leave();
    reporter.set_not_serving::<AdapterServiceServer<Adapter>>().await;
    drop(door);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(settings.patience, ended).await.is_err() {
        tracing::warn!(calls = host.health().in_flight(), "calls were cut: the adapter's patience is over");
    }
}

/// Resolves once the adapter is leaving, or whoever would tell it has gone.
async fn until(leaving: &mut watch::Receiver<bool>) {
    // The lock of what it reads is given back at once.
    drop(leaving.wait_for(|leaving| *leaving).await);
}

/// How long no connection is accepted after one could not be: most likely there are no descriptors left.
const PAUSE: Duration = Duration::from_millis(50);

type Socket = Box<dyn Wire>;

/// What a connection needs of a socket.
trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

async fn accept(door: &Door) -> io::Result<Socket> {
    match door {
        Door::Tcp(listener) => {
            let (socket, _) = listener.accept().await?;
            socket.set_nodelay(true)?;
            Ok(Box::new(socket))
        }
        Door::Unix(listener, _) => listener.accept().await.map(|(socket, _)| Box::new(socket) as Socket),
    }
}

async fn connection(socket: Socket, tls: Option<TlsAcceptor>, rooms: Arc<Rooms>, mut leaving: watch::Receiver<bool>) {
    let socket = match tls {
        None => socket,
        Some(tls) => match tokio::time::timeout(HANDSHAKE, tls.accept(socket)).await {
            Ok(Ok(secured)) => Box::new(secured),
            Ok(Err(error)) => return tracing::debug!(%error, "TLS handshake failed"),
            Err(_elapsed) => return tracing::debug!("TLS handshake took too long"),
        },
    };
    let mut builder = http2::Builder::new(Spawn);
    builder.timer(TokioTimer::new()).max_concurrent_streams(CALLS);
    builder.initial_stream_window_size(CALL_WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
    builder.keep_alive_interval(Some(SILENCE)).keep_alive_timeout(SILENCE);
    let service = hyper::service::service_fn(move |request| rooms.answer(request));
    let mut connection = pin!(builder.serve_connection(TokioIo::new(socket), service));
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = until(&mut leaving) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "connection ended early");
    }
}

/// How long a connection may be silent before it is asked for a sign of life, and again until it counts as dead.
const SILENCE: Duration = Duration::from_secs(20);

type Answered = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;
type Room = Box<dyn Fn(Request<Incoming>) -> Answered + Send + Sync>;

/// The services of an adapter, by the first part of a call's path.
struct Rooms(Vec<(&'static str, Room)>);

impl Rooms {
    fn new<H>(host: &Host, health: H) -> Self
    where
        H: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible> + NamedService + Clone,
        H: Send + Sync + 'static,
        H::Future: Send + 'static,
    {
        let most = host.most.saturating_add(64 << 10);
        let adapter = AdapterServiceServer::new(Adapter(host.clone())).max_decoding_message_size(most);
        let mut rooms = vec![room(adapter), room(health)];
        let reflection =
            || tonic_reflection::server::Builder::configure().register_encoded_file_descriptor_set(DESCRIPTORS);
        // The descriptors are this build's own.
        rooms.extend(reflection().build_v1().ok().map(room));
        rooms.extend(reflection().build_v1alpha().ok().map(room));
        Self(rooms)
    }

    fn answer(&self, request: Request<Incoming>) -> Answered {
        let path = request.uri().path();
        let name = path.strip_prefix('/').and_then(|path| path.split('/').next()).unwrap_or_default();
        match self.0.iter().find(|(known, _)| *known == name) {
            Some((_, room)) => room(request),
            None => {
                let status = Status::unimplemented(format!("{path} is not served here; {ADAPTER} is"));
                Box::pin(std::future::ready(Ok(status.into_http())))
            }
        }
    }
}

const ADAPTER: &str = <AdapterServiceServer<Adapter> as NamedService>::NAME;

fn room<S>(service: S) -> (&'static str, Room)
where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible> + NamedService + Clone,
    S: Send + Sync + 'static,
    S::Future: Send + 'static,
{
    (S::NAME, Box::new(move |request| Box::pin(service.clone().call(request))))
}
