//! Leaving while callers keep connections that they do not use. The callers' sockets stay open: only
//! the router can end these connections.

use std::io::{Read, Write};
use std::net::SocketAddr;

use super::*;

/// Enough to meet the moments in which one phase is still being told and the next one comes.
const ENDS: usize = 200;
/// How soon an unused connection has to be closed; a lost wake-up takes for ever.
const SOON: Duration = Duration::from_secs(3);

/// What a caller has done on his connection before the router leaves.
#[derive(Debug, Clone, Copy)]
enum Caller {
    /// Connected, and nothing more.
    Silent,
    /// Had one answer.
    Answered,
}

impl Caller {
    /// Connects and does what he has to do.
    fn call(self, address: SocketAddr) -> std::net::TcpStream {
        let mut socket = std::net::TcpStream::connect(address).unwrap();
        match self {
            Self::Silent => {}
            Self::Answered => {
                let body = r#"{"model":"short","messages":[]}"#;
                let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: router\r\ncontent-type: application/json";
                write!(socket, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
                let mut answer = Vec::new();
                while !answer.ends_with(PIECE) {
                    let mut some = [0; 4096];
                    let count = socket.read(&mut some).unwrap();
                    assert!(count > 0, "the connection has ended before its answer");
                    answer.extend_from_slice(&some[..count]);
                }
            }
        }
        socket
    }
}

/// A worker as the router has them: a thread with a runtime of its own.
fn worker(drain: &Drain, connections: &Connections) -> (SocketAddr, std::thread::JoinHandle<()>) {
    let socket = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let (drain, connections) = (drain.clone(), connections.clone());
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            listener(socket, Models::default(), drain.clone(), connections).run().await;
            drain.reached(Phase::Ended).await;
        });
    });
    (address, thread)
}

fn closes_at_once(caller: Caller, between: Duration) {
    let (drain, connections) = (Drain::new(), Connections::new(8));
    let (address, thread) = worker(&drain, &connections);
    let socket = caller.call(address);
    while connections.open() == 0 {
        std::thread::yield_now();
    }
    drain.advance(Phase::Leaving);
    let begun = tokio::time::Instant::now();
    while begun.elapsed() < between {
        std::hint::spin_loop();
    }
    drain.advance(Phase::Closing);
    let begun = tokio::time::Instant::now();
    while connections.open() > 0 {
        assert!(begun.elapsed() < SOON, "{caller:?} holds the router, {between:?} between its phases");
        std::thread::yield_now();
    }
    drop(socket);
    drain.advance(Phase::Ended);
    thread.join().unwrap();
}

#[test]
fn an_unused_connection_is_closed_at_once_however_soon_the_phases_follow_each_other() {
    for end in 0..ENDS {
        let caller = if end % 50 == 0 { Caller::Silent } else { Caller::Answered };
        closes_at_once(caller, Duration::from_micros(end as u64));
    }
}
