//! The data plane: one thread per core, each with its own runtime, listener and upstream pools.

use std::io;
use std::net::SocketAddr;
use std::thread::JoinHandle;

use atp_core::percore;
use atp_ingress::listen::Connections;
use atp_ingress::{Drain, Entrance, Listener, Phase};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What every worker is given.
#[derive(Clone)]
pub(crate) struct Plan {
    /// The HTTP surface.
    pub(crate) entrance: Entrance,
    /// Protocol settings of the listener.
    pub(crate) wire: Arc<atp_ingress::listen::Wire>,
    /// TLS, where configured.
    pub(crate) tls: Option<TlsAcceptor>,
    /// The cap on connections, over all workers.
    pub(crate) connections: Connections,
    /// How the workers learn that they have to end.
    pub(crate) drain: Drain,
}

/// The running threads.
pub(crate) struct Workers {
    threads: Vec<JoinHandle<()>>,
    /// The address that was bound, with the real port where port 0 was asked for.
    pub(crate) address: SocketAddr,
}

impl Workers {
    /// Binds `count` listeners on one address and starts a thread for each.
    ///
    /// # Errors
    /// The address cannot be bound, or no thread can be started.
    pub(crate) fn start(count: usize, address: SocketAddr, plan: &Plan) -> io::Result<Self> {
        let first = claim(address)?;
        let address = first.local_addr()?;
        let mut sockets = vec![first];
        for _ in 1..count {
            sockets.push(atp_ingress::bind(address)?);
        }
        let mut threads = Vec::with_capacity(count);
        for (index, socket) in sockets.into_iter().enumerate() {
            let plan = plan.clone();
            let thread = std::thread::Builder::new().name(format!("atp-worker-{index}"));
            threads.push(thread.spawn(move || run(index, socket, plan))?);
        }
        Ok(Self { threads, address })
    }

    /// Waits for the threads to end, which they do once the drain has ended.
    pub(crate) fn join(self) {
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a worker thread panicked");
            }
        }
    }
}

/// Binds the first listener. A shared port can be bound by anybody of the same user, so a router
/// that already runs there would silently share its callers with this one: that is refused.
fn claim(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    if address.port() != 0 {
        drop(std::net::TcpListener::bind(address)?);
    }
    atp_ingress::bind(address)
}

fn run(index: usize, socket: std::net::TcpListener, plan: Plan) {
    percore::set_worker(index);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(worker = index, error = %error, "a worker's runtime could not be built");
            return;
        }
    };
    runtime.block_on(async move {
        let socket = match TcpListener::from_std(socket) {
            Ok(socket) => socket,
            Err(error) => {
                tracing::error!(worker = index, error = %error, "a worker's listener could not be used");
                return;
            }
        };
        let drain = plan.drain.clone();
        let Plan { entrance, wire, tls, connections, drain: listening } = plan;
        Listener { socket, entrance, wire, tls, connections, drain: listening }.run().await;
        drain.reached(Phase::Ended).await;
    });
    // Whatever is still under way is cut here: dropping a task drops its connection and all that
    // was borrowed for it.
    drop(runtime);
}
