//! A server played by hand: it reads a request, plays its scene, and notices who leaves.
//!
//! It runs on threads of its own with blocking sockets, so that nothing it does depends on the
//! runtime under test.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// One thing that the server does.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Writes bytes.
    Write(String),
    /// Writes bytes again and again, every five milliseconds, until the caller leaves.
    Repeat(String),
    /// Waits until the caller leaves.
    Hang,
    /// Breaks the connection.
    Close,
}

/// The server.
pub(crate) struct FarSide {
    addr: SocketAddr,
    working: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
}

impl FarSide {
    /// Starts a server that answers each request with the acts that `script` makes of its body.
    pub(crate) fn start(script: impl Fn(&str) -> Vec<Act> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (working, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, ended, script) = (Arc::clone(&working), Arc::clone(&over), Arc::new(script));
        thread::spawn(move || {
            for socket in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let (counted, script) = (Arc::clone(&counted), Arc::clone(&script));
                thread::spawn(move || serve(&socket.unwrap(), &*script, &counted));
            }
        });
        Self { addr, working, over }
    }

    pub(crate) fn url(&self, base: &str) -> String {
        format!("http://{}{base}", self.addr)
    }

    /// Calls that have been read and neither answered nor left.
    pub(crate) fn working(&self) -> usize {
        self.working.load(Ordering::SeqCst)
    }
}

impl Drop for FarSide {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // Wakes the listening thread, which then ends.
        drop(TcpStream::connect(self.addr));
    }
}

fn serve(socket: &TcpStream, script: &dyn Fn(&str) -> Vec<Act>, working: &AtomicUsize) {
    while let Some(body) = read_request(socket) {
        working.fetch_add(1, Ordering::SeqCst);
        let stays = script(&body).into_iter().all(|act| play(socket, act));
        working.fetch_sub(1, Ordering::SeqCst);
        if !stays {
            return;
        }
    }
}

/// Plays one act; whether the connection is still there.
fn play(mut socket: &TcpStream, act: Act) -> bool {
    match act {
        Act::Write(text) => socket.write_all(text.as_bytes()).is_ok(),
        Act::Repeat(text) => {
            socket.set_nonblocking(true).unwrap();
            while !has_left(socket) && socket.write_all(text.as_bytes()).is_ok() {
                thread::park_timeout(Duration::from_millis(5));
            }
            false
        }
        Act::Hang => {
            while !has_left(socket) {}
            false
        }
        Act::Close => false,
    }
}

/// Whether the caller has closed the connection.
fn has_left(mut socket: &TcpStream) -> bool {
    match socket.read(&mut [0; 64]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

/// Reads one request and gives its body; `None` where the caller is done.
fn read_request(mut socket: &TcpStream) -> Option<String> {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let lower = head.to_lowercase();
            let length = lower.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
            if body.len() >= length.parse::<usize>().unwrap() {
                return Some(body.to_owned());
            }
        }
        let mut piece = [0; 4096];
        match socket.read(&mut piece) {
            Ok(0) | Err(_) => return None,
            Ok(count) => read.extend_from_slice(&piece[..count]),
        }
    }
}

/// An answer with a length.
pub(crate) fn sized(status: &str, more: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{more}content-length: {}\r\n\r\n{body}", body.len())
}

/// The head of a stream.
pub(crate) fn head(content_type: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n\r\n")
}

/// One chunk of a stream.
pub(crate) fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}
