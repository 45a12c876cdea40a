//! The listener of the control plane.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::control::Control;
use crate::routes;

/// How the listener behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Serving {
    /// How long a request's head may take to arrive, and an idle connection may stay open.
    pub header_timeout: Duration,
    /// How long one connection lives; a scraper opens another one.
    pub connection_life: Duration,
    /// Connections at once; beyond it the next one waits to be accepted.
    pub connections: usize,
    /// How long requests may still run after the shutdown.
    pub grace: Duration,
}

impl Default for Serving {
    /// Ample for a few scrapers, probes and people.
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(30),
            connection_life: Duration::from_secs(600),
            connections: 256,
            grace: Duration::from_secs(2),
        }
    }
}

/// Serves until `shutdown` resolves; then lets requests finish within the grace and closes everything.
/// Every task it starts has ended when it returns or is dropped.
pub async fn serve(
    listener: TcpListener,
    control: Arc<dyn Control>,
    serving: Serving,
    shutdown: impl Future<Output = ()>,
) {
    let mut tasks = JoinSet::new();
    // Dropping the sender is what tells every connection to finish.
    let (ending, end) = watch::channel(());
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let room = tasks.len() < serving.connections.max(1);
        tokio::select! {
            () = &mut shutdown => break,
            // Ended tasks are taken out as they end; a panic in one is its own end only.
            Some(_) = tasks.join_next() => {}
            accepted = accept(&listener), if room => {
                let connection = connection(accepted, Arc::clone(&control), serving, end.clone());
                tasks.spawn(connection);
            }
        }
    }
    drop(listener);
    drop(ending);
    let finished = timeout(serving.grace, async { while tasks.join_next().await.is_some() {} }).await;
    if finished.is_err() {
        tracing::warn!(connections = tasks.len(), "admin connections closed before they ended");
    }
}

/// The next connection. A failure to accept is the machine's (no file descriptors left) or the peer's
/// own (gone already); after a breath the next try may work.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(reason = %error, "admin connection not accepted");
                sleep(Duration::from_millis(500)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, control: Arc<dyn Control>, serving: Serving, mut end: watch::Receiver<()>) {
    // Without it a small answer waits for the acknowledgement of the one before it; where it cannot
    // be set, the answer is only slower.
    let _slower = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| {
        let (parts, _body) = request.into_parts();
        let control = Arc::clone(&control);
        async move { Ok::<_, Infallible>(routes::respond(parts, control).await.map(Full::new)) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(serving.header_timeout).max_buf_size(64 * 1024);
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        // The peer's own errors are of no interest to anyone here.
        _ = connection.as_mut() => return,
        _ = end.changed() => {}
        () = sleep(serving.connection_life) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _unfinished = timeout(serving.grace, connection).await;
}
