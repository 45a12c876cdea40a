//! A scripted OpenAI-like upstream: every good, slow, broken and hostile provider in one cheap server.
//!
//! A request chooses its script by the header `x-script` or, because gateways do not forward that,
//! by the name of its model (`"model": "stream64-paced:5"`). Bytes are built once and copied, one
//! thread serves all connections, and no JSON is parsed, so that the far side costs little beside
//! the gateway that is measured. `GET /_stats` tells what is open and what was cancelled,
//! `GET /_requests` what arrived (when recording), `POST /_reset` sets the counters back.

mod play;
mod reply;
mod request;
mod script;
mod stats;
#[cfg(test)]
mod tests;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;

use serde_json::json;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

pub use script::{NAMES, Pace, Script};
pub use stats::{Recorded, Stats};

use play::Next;
use request::{Request, Route};
use stats::{Counters, Open};
use wire::Wire;

/// Connections that may wait to be accepted: a gateway opens thousands at once.
const BACKLOG: u32 = 4096;

/// What all connections share.
struct Shared {
    counters: Counters,
    replies: reply::Replies,
    /// How many of the last requests are kept.
    record: usize,
}

/// How an upstream is started.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How many of the last requests `GET /_requests` tells; zero keeps none.
    pub record: usize,
    /// The core that its thread is bound to.
    pub core: Option<usize>,
}

impl Default for Options {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 0)), record: 0, core: None }
    }
}

/// A running upstream on a thread of its own; it ends, with all its connections, when dropped.
pub struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Upstream {
    /// Binds, and serves from now on.
    ///
    /// # Errors
    /// The address cannot be bound, the core does not exist, or no thread can be started.
    pub fn start(options: Options) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = runtime.block_on(async { listen(options.listen) })?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            counters: Counters::default(),
            replies: reply::Replies::default(),
            record: options.record,
        });
        let (stop, stopped) = oneshot::channel();
        let (told, tell) = std::sync::mpsc::sync_channel(1);
        let served = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("atp-upstream".to_owned()).spawn(move || {
            let pinned = options.core.map_or(Ok(()), crate::pin::pin_to_core);
            let ready = pinned.is_ok();
            // The starter waits for exactly this message; if it is gone, nobody needs the upstream.
            if told.send(pinned).is_ok() && ready {
                runtime.block_on(serve(listener, served, stopped));
            }
        })?;
        tell.recv().map_err(|_| io::Error::other("the upstream's thread ended before it began"))??;
        Ok(Self { address, shared, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What a client or a gateway takes as the provider's base URL.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The counters now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.counters.read()
    }

    /// The last requests, oldest first.
    #[must_use]
    pub fn recorded(&self) -> Vec<Recorded> {
        self.shared.counters.recorded()
    }

    /// Waits until the thread has ended by itself, which it does only when it fails.
    pub fn join(mut self) {
        if let Some(thread) = self.thread.take() {
            // A panic there was already told on standard error.
            let _ = thread.join();
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // A panic there was already told on standard error.
            let _ = thread.join();
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts until the other end of `stop` is dropped. Connections end with this function.
async fn serve(listener: TcpListener, shared: Arc<Shared>, mut stop: oneshot::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let shared = Arc::clone(&shared);
                    connections.spawn(async move { connection(stream, &shared).await });
                }
                // Out of descriptors, or a caller that left in the queue: others can still be served.
                Err(_) => tokio::task::yield_now().await,
            },
            Some(_) = connections.join_next() => {}
            _ = &mut stop => return,
        }
    }
}

async fn connection(stream: TcpStream, shared: &Shared) {
    // Small writes must not wait for each other; a peer that is already gone shows at the first read.
    let _ = stream.set_nodelay(true);
    let counters = &shared.counters;
    counters.connections_total.fetch_add(1, Relaxed);
    let mut open = Some(Open::count(&counters.connections_open));
    let mut wire = Wire::new(stream, counters);
    loop {
        let request = match Request::read(&mut wire).await {
            Ok(Some(request)) => request,
            Ok(None) | Err(_) => return,
        };
        if matches!(request.route, Route::Stats | Route::Recorded | Route::Reset) {
            if open.take().is_some() {
                counters.connections_total.fetch_sub(1, Relaxed);
            }
            if control(&mut wire, request.route).await.is_err() {
                return;
            }
            continue;
        }
        match answer(&mut wire, &request, shared).await {
            Ok(Next::Keep) => {}
            Ok(Next::Close) => return,
            Ok(Next::Reset) => {
                // If the option cannot be set, the peer sees a plain close.
                let _ = wire.reset();
                return;
            }
            Err(_) => {
                counters.requests_left.fetch_add(1, Relaxed);
                return;
            }
        }
    }
}

async fn answer(wire: &mut Wire<'_>, request: &Request, shared: &Shared) -> io::Result<Next> {
    let counters = &shared.counters;
    counters.requests_total.fetch_add(1, Relaxed);
    let _open = Open::count(&counters.requests_open);
    if shared.record > 0 {
        counters.record(request.describe(), shared.record);
    }
    let next = play::play(wire, request, shared).await?;
    counters.requests_played.fetch_add(1, Relaxed);
    Ok(next)
}

async fn control(wire: &mut Wire<'_>, route: Route) -> io::Result<()> {
    let body = match route {
        Route::Recorded => json!(wire.counters.recorded()),
        Route::Reset => {
            wire.counters.reset();
            json!(wire.counters.read())
        }
        _ => json!(wire.counters.read()),
    };
    wire.write(&reply::ok(&body)).await
}
