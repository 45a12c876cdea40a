//! One accepted connection: buffered reads, counted writes, and knowing when the caller has left.

use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::stats::Counters;

/// Room asked for before each read of a small message, in bytes.
const READ_ROOM: usize = 4 * 1024;

pub(super) struct Wire<'a> {
    stream: TcpStream,
    pub(super) counters: &'a Counters,
    /// Bytes read and not yet used.
    pub(super) buffer: BytesMut,
}

impl<'a> Wire<'a> {
    pub(super) fn new(stream: TcpStream, counters: &'a Counters) -> Self {
        Self { stream, counters, buffer: BytesMut::new() }
    }

    /// Reads once more into the buffer, `room` bytes at least if they are there. Zero means that the
    /// caller has closed.
    pub(super) async fn fill(&mut self, room: usize) -> io::Result<usize> {
        self.buffer.reserve(room.max(READ_ROOM));
        self.stream.read_buf(&mut self.buffer).await
    }

    /// Reads into `target` and throws it away: for the rest of bodies too large to keep.
    pub(super) async fn read_into(&mut self, target: &mut [u8]) -> io::Result<usize> {
        self.stream.read(target).await
    }

    pub(super) fn consume(&mut self, bytes: usize) {
        self.buffer.advance(bytes.min(self.buffer.len()));
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.counters.bytes_out.fetch_add(bytes.len() as u64, Relaxed);
        Ok(())
    }

    /// Waits until `moment`, and fails at once when the caller leaves before it.
    pub(super) async fn wait_until(&mut self, moment: Instant) -> io::Result<()> {
        tokio::select! {
            () = tokio::time::sleep_until(moment) => Ok(()),
            error = self.gone() => Err(error),
        }
    }

    pub(super) async fn wait(&mut self, length: Duration) -> io::Result<()> {
        self.wait_until(Instant::now() + length).await
    }

    /// Returns when the caller has closed or reset; bytes of a next request are kept for it.
    async fn gone(&mut self) -> io::Error {
        loop {
            match self.fill(READ_ROOM).await {
                Ok(0) => return io::Error::new(io::ErrorKind::UnexpectedEof, "the caller left"),
                Ok(_) => {}
                Err(error) => return error,
            }
        }
    }

    /// Closes so that the peer gets RST instead of FIN.
    pub(super) fn reset(self) -> io::Result<()> {
        // With a linger time of zero the kernel drops what is unsent and resets.
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO))
    }
}
