//! A request on its way to the socket.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Body;
use tokio::io::AsyncWrite;

use super::super::Outgoing;
use super::super::connect::Socket;
use super::super::payload::SendBody;
use super::super::transport::Failure;
use super::request::{self, Ends};
use super::wire::Outbox;

/// A body that is at most so large goes out in one piece with its head: copying it costs less than a
/// gathered write.
const TOGETHER: usize = 4 * 1024;

/// The head, then the body as it comes.
pub(super) struct Upload {
    body: SendBody,
    ends: Ends,
    /// Body bytes that the head has promised and that have not come.
    promised: u64,
    outbox: Outbox,
    written: u64,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The body's pieces are asked for as room comes.
    Body,
    /// All has been handed to the socket.
    Flush,
    Done,
}

impl Upload {
    /// The request, whose body is taken where it can be sent only once. The head is made ready, and with it what of
    /// the body is in memory.
    pub(super) fn new(out: &mut Outgoing<'_>) -> Self {
        let body = out.body.lend();
        let length = body.size_hint().exact();
        let ends = Ends::of(&out.method, length);
        let mut outbox = Outbox::default();
        let phase = match &body {
            SendBody::Rope { rope, .. } if rope.len() <= TOGETHER => {
                let mut all = request::encode(out, ends, rope.len());
                rope.parts().iter().for_each(|part| all.extend_from_slice(part));
                outbox.push(Bytes::from(all));
                Phase::Flush
            }
            SendBody::Rope { rope, .. } => {
                outbox.push(Bytes::from(request::encode(out, ends, 0)));
                rope.parts().iter().for_each(|part| outbox.push(part.clone()));
                Phase::Flush
            }
            SendBody::Once { .. } => {
                outbox.push(Bytes::from(request::encode(out, ends, 0)));
                Phase::Body
            }
        };
        Self { body, ends, promised: length.unwrap_or(0), outbox, written: 0, phase }
    }

    pub(super) fn is_done(&self) -> bool {
        self.phase == Phase::Done
    }

    /// The body, where nothing of the request has gone out.
    pub(super) fn into_unsent(self) -> Option<SendBody> {
        // A body that arrives while it is sent is asked for nothing before the head has gone out.
        (self.written == 0).then_some(self.body)
    }

    /// Ready once all has gone out. Errors: the socket's, told as the end of the connection; the body's own.
    pub(super) fn poll(&mut self, socket: &mut Socket, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        loop {
            match self.phase {
                Phase::Body => ready!(self.poll_body(socket, cx))?,
                Phase::Flush => {
                    ready!(self.poll_outbox(socket, cx))?;
                    ready!(Pin::new(&mut *socket).poll_flush(cx)).map_err(closed)?;
                    self.phase = Phase::Done;
                }
                Phase::Done => return Poll::Ready(Ok(())),
            }
        }
    }

    fn poll_outbox(&mut self, socket: &mut Socket, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.outbox.poll_write(socket, cx, &mut self.written).map_err(closed)
    }

    /// One piece of a body that arrives while it is sent. The head goes out first: until something has, the
    /// request could still be sent elsewhere.
    fn poll_body(&mut self, socket: &mut Socket, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        ready!(self.poll_outbox(socket, cx))?;
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if frame.is_pending() {
            // What has been written so far must not wait for the rest.
            ready!(Pin::new(&mut *socket).poll_flush(cx)).map_err(closed)?;
        }
        match ready!(frame) {
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    self.queue(data)?;
                }
            }
            Some(Err(error)) => return Poll::Ready(Err(Failure::Body(error))),
            None if self.promised > 0 => {
                return Poll::Ready(Err(Failure::Body(short())));
            }
            None => {
                if self.ends == Ends::Chunked {
                    self.outbox.push(Bytes::from_static(b"0\r\n\r\n"));
                }
                self.phase = Phase::Flush;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn queue(&mut self, data: Bytes) -> Result<(), Failure> {
        if data.is_empty() {
            return Ok(());
        }
        match self.ends {
            Ends::Chunked => {
                self.outbox.push(Bytes::from(request::chunk_size(data.len())));
                self.outbox.push(data);
                self.outbox.push(Bytes::from_static(b"\r\n"));
            }
            Ends::Absent | Ends::Length(_) => {
                // More than was announced would be read as the next request.
                self.promised = self.promised.checked_sub(data.len() as u64).ok_or_else(|| Failure::Body(short()))?;
                self.outbox.push(data);
            }
        }
        Ok(())
    }
}

fn closed(cause: io::Error) -> Failure {
    Failure::Closed(Some(cause))
}

fn short() -> atp_core::Error {
    let text = "the request's body is not as long as its head said";
    atp_core::Error::caller(atp_core::ErrorKind::InvalidRequest, text).with_param("content-length")
}
