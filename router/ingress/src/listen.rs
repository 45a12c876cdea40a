//! Listeners and connections: accept, permit, TLS, protocol version, drain.
//!
//! Each data-plane thread has a listener of its own on the shared port (SO_REUSEPORT), so that no
//! connection is handed from core to core. A connection is a task of that thread; it ends with its
//! socket, with its drain, or when the caller stops reading.

mod head_clock;
mod notice;
mod serve;
mod socket;
#[cfg(test)]
mod tests;
mod unsent;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::drain::{Drain, Phase};
use crate::http::Entrance;

pub use serve::Wire;

/// Connections waiting to be accepted, per listener. The kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// How long accepting pauses when the process has no file descriptor left.
const PAUSE: Duration = Duration::from_millis(50);

/// Binds one listener of a group that shares its port. Every listener of the group has to be bound
/// by this function.
///
/// # Errors
/// Whatever the system says: the address in use, no permission.
pub fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Counts connections against their cap, over all listeners.
#[derive(Debug, Clone)]
pub struct Connections {
    open: Arc<AtomicUsize>,
    cap: usize,
}

/// One connection's place. Given back when it is dropped.
pub(crate) struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Connections {
    /// Room for `cap` connections.
    #[must_use]
    pub fn new(cap: usize) -> Self {
        Self { open: Arc::default(), cap }
    }

    /// Connections open now.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    fn enter(&self) -> Option<Place> {
        let before = self.open.fetch_add(1, Ordering::AcqRel);
        let place = Place(Arc::clone(&self.open));
        (before < self.cap).then_some(place)
    }
}

/// One data-plane thread's listener.
pub struct Listener {
    /// The socket, from [`bind`].
    pub socket: TcpListener,
    /// The HTTP surface.
    pub entrance: Entrance,
    /// Protocol settings.
    pub wire: Arc<Wire>,
    /// TLS, where the listener has it.
    pub tls: Option<TlsAcceptor>,
    /// The cap on connections.
    pub connections: Connections,
    /// How it learns that it has to end.
    pub drain: Drain,
}

impl Listener {
    /// Accepts until the drain says to close, then until the backlog is empty.
    pub async fn run(self) {
        let closing = self.drain.reached(Phase::Closing);
        let mut closing = std::pin::pin!(closing);
        loop {
            tokio::select! {
                biased;
                accepted = self.socket.accept() => self.accepted(accepted).await,
                () = &mut closing => break,
            }
        }
        self.empty_backlog().await;
    }

    /// Connections that the kernel has completed before the listener closes would be reset with it;
    /// they are taken and served their one answer.
    async fn empty_backlog(&self) {
        loop {
            tokio::select! {
                biased;
                accepted = self.socket.accept() => self.accepted(accepted).await,
                () = std::future::ready(()) => return,
            }
        }
    }

    async fn accepted(&self, accepted: io::Result<(TcpStream, SocketAddr)>) {
        match accepted {
            Ok((tcp, peer)) => self.start(tcp, peer),
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => {
                tracing::warn!(error = %error, "cannot accept connections; trying again");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    #[expect(clippy::disallowed_methods, reason = "a connection's task ends with its socket or with the drain")]
    fn start(&self, tcp: TcpStream, peer: SocketAddr) {
        let Some(place) = self.connections.enter() else {
            tracing::warn!(cap = self.connections.cap, "connection refused: limits.max_connections reached");
            // Who expects TLS would read the words as a broken handshake; for him it just ends.
            if self.tls.is_none() {
                drop(tokio::spawn(serve::turn_away(tcp)));
            }
            return;
        };
        let connection = serve::Connection {
            entrance: self.entrance.clone().met_by(peer),
            wire: Arc::clone(&self.wire),
            tls: self.tls.clone(),
            drain: self.drain.clone(),
            place,
        };
        drop(tokio::spawn(connection.run(tcp)));
    }
}

/// Errors that belong to the connection that was about to be accepted, not to the listener.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
