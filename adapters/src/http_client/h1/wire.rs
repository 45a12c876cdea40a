//! Bytes from and to a socket.
//!
//! Reads go through one buffer per core, because nobody knows how much will come: what an open stream
//! waits for is a hundred bytes as often as ten thousand, and a buffer of its own would be held all the
//! while. What has come is copied into a piece of its own size, which for the small is cheap and for the
//! large is not done: there the length is known, and the piece is read into directly.

use std::cell::RefCell;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use smallvec::SmallVec;
use tokio::io::{AsyncReadExt, AsyncWrite};

use super::super::connect::Socket;

/// Bytes read at once where the length is not known, or is small. What arrived in one burst goes out in
/// one write; the bound keeps the copy inside the first-level cache.
pub(super) const BURST: usize = 16 * 1024;

/// Bytes read at once of a body whose length is known: beyond it a slow caller's memory grows, below it
/// the system calls do.
const LARGE: usize = 64 * 1024;

/// Pieces handed to the socket at once.
const GATHERED: usize = 16;

thread_local! {
    static SHARED: RefCell<BytesMut> = RefCell::new(BytesMut::with_capacity(BURST));
}

/// All that has arrived, up to [`BURST`] bytes; empty at the end of the connection.
pub(super) fn read(socket: &mut Socket, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
    SHARED.with_borrow_mut(|shared| {
        shared.clear();
        let count = ready!(pin!(socket.read_buf(shared)).poll(cx))?;
        Poll::Ready(Ok(Bytes::copy_from_slice(shared.get(..count).unwrap_or_default())))
    })
}

/// Up to `left` bytes, read directly into `block`, which pieces share until it is full: a piece that kept a block of
/// its own would hold many times its size where little arrives at a time.
pub(super) fn read_large(
    socket: &mut Socket,
    cx: &mut Context<'_>,
    left: u64,
    block: &mut BytesMut,
) -> Poll<io::Result<Bytes>> {
    // At most LARGE, which fits.
    let most = left.min(LARGE as u64) as usize;
    if block.capacity() < most.min(BURST) {
        *block = BytesMut::with_capacity(most);
    }
    let count = ready!(pin!(socket.read_buf(block)).poll(cx))?;
    Poll::Ready(Ok(block.split_to(count).freeze()))
}

/// Pieces on their way out.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pieces: SmallVec<[Bytes; 4]>,
    /// The first that has not gone out whole.
    next: usize,
}

impl Outbox {
    pub(super) fn push(&mut self, piece: Bytes) {
        if self.is_empty() {
            self.pieces.clear();
            self.next = 0;
        }
        if !piece.is_empty() {
            self.pieces.push(piece);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.next >= self.pieces.len()
    }

    /// Writes all of it; the count of bytes tells whether anything has gone out, whatever came of the rest.
    pub(super) fn poll_write(
        &mut self,
        socket: &mut Socket,
        cx: &mut Context<'_>,
        written: &mut u64,
    ) -> Poll<io::Result<()>> {
        while let [first, more @ ..] = self.pieces.get(self.next..).unwrap_or_default() {
            let socket = Pin::new(&mut *socket);
            let count = if more.is_empty() {
                ready!(socket.poll_write(cx, first))?
            } else {
                let slices: SmallVec<[io::IoSlice<'_>; GATHERED]> =
                    std::iter::once(first).chain(more).take(GATHERED).map(|piece| io::IoSlice::new(piece)).collect();
                ready!(socket.poll_write_vectored(cx, &slices))?
            };
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *written += count as u64;
            self.went(count);
        }
        Poll::Ready(Ok(()))
    }

    fn went(&mut self, mut count: usize) {
        while let Some(piece) = self.pieces.get_mut(self.next) {
            if count < piece.len() {
                piece.advance(count);
                return;
            }
            count -= piece.len();
            // What has gone out is let go of at once: pieces may be large.
            *piece = Bytes::new();
            self.next += 1;
        }
    }
}
