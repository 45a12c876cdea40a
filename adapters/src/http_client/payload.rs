//! What hyper sends: a rope piece by piece, or a one-time stream.

use std::pin::Pin;
use std::task::{Context, Poll};

use atp_core::body::StreamBody;
use atp_core::{Error, Payload, Rope};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// A request body on its way out.
pub enum SendBody {
    /// Pieces in memory; each goes to the socket without being copied.
    Rope {
        /// The whole body, kept so that the request can be made again.
        rope: Rope,
        /// The piece to send next.
        next: usize,
        /// Bytes still to send.
        left: usize,
    },
    /// Sent as it arrives.
    Once {
        /// What has been read already.
        head: Rope,
        /// The piece of it to send next.
        next: usize,
        /// What is still to come.
        rest: StreamBody,
    },
}

impl SendBody {
    /// Whether it can be sent again.
    pub(super) fn is_kept(&self) -> bool {
        matches!(self, Self::Rope { .. })
    }

    /// The same body from its start; one that can be sent only once goes, and nothing is left.
    pub(super) fn lend(&mut self) -> Self {
        match self {
            Self::Rope { rope, .. } => Self::from(rope.clone()),
            Self::Once { .. } => std::mem::replace(self, Self::from(Rope::new())),
        }
    }
}

impl From<Rope> for SendBody {
    fn from(rope: Rope) -> Self {
        Self::Rope { left: rope.len(), rope, next: 0 }
    }
}

impl From<Payload> for SendBody {
    fn from(payload: Payload) -> Self {
        match payload {
            Payload::Rope(rope) => Self::from(rope),
            Payload::Once { head, rest } => Self::Once { head, next: 0, rest },
        }
    }
}

impl Body for SendBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match &mut *self {
            Self::Rope { rope, next, left } => Poll::Ready(rope.parts().get(*next).map(|part| {
                *next += 1;
                *left -= part.len();
                Ok(Frame::data(part.clone()))
            })),
            Self::Once { head, next, rest } => match head.parts().get(*next) {
                Some(part) => {
                    *next += 1;
                    Poll::Ready(Some(Ok(Frame::data(part.clone()))))
                }
                None => rest.as_mut().poll_frame(cx),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Rope { left, .. } => *left == 0,
            Self::Once { head, next, rest } => *next >= head.parts().len() && rest.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Rope { left, .. } => SizeHint::with_exact(*left as u64),
            // Without an exact length hyper sends the body in chunks; with one it is kept.
            Self::Once { head, next, rest } => {
                let held: usize = head.parts().iter().skip(*next).map(Bytes::len).sum();
                match rest.size_hint().exact() {
                    Some(more) => SizeHint::with_exact(more + held as u64),
                    None => SizeHint::default(),
                }
            }
        }
    }
}
