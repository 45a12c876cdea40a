//! gRPC's messages on the wire: a flag, a length, the message (gRPC over HTTP/2, "Length-Prefixed-Message").

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use atp_core::body::StreamBody;
use atp_core::{Error, Payload, Rope};
use atp_proto::adapter::v1::RequestHead;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use http_body::{Body, Frame};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len, message};

use crate::http_client::SendBody;

/// The flag, which says whether the message is compressed, and four bytes of length.
const PREFIX: usize = 5;

/// Bytes of a request's body in one message. Servers take 4 MiB unless told otherwise, in every language.
const PIECE: usize = 1 << 20;

/// The numbers of `CompleteRequest`.
const HEAD: u32 = 1;
const BODY: u32 = 2;

/// A whole message, ready to be sent.
pub(super) fn framed(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut out = BytesMut::with_capacity(PREFIX + length);
    put_prefix(&mut out, length);
    message.encode_raw(&mut out);
    out.freeze()
}

fn put_prefix(out: &mut BytesMut, length: usize) {
    out.put_u8(0);
    // A message is at most a piece and a head, or one that fits memory many times over.
    out.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
}

/// What stands before `length` bytes of body in a message of a request, the head being with the first.
fn before(head: Option<&RequestHead>, length: usize) -> Bytes {
    let head_length = head.map_or(0, |head| message::encoded_len(HEAD, head));
    let field = if length == 0 { 0 } else { key_len(BODY) + encoded_len_varint(length as u64) };
    let mut out = BytesMut::with_capacity(PREFIX + head_length + field);
    put_prefix(&mut out, head_length + field + length);
    if let Some(head) = head {
        message::encode(HEAD, head, &mut out);
    }
    if length > 0 {
        encode_key(BODY, WireType::LengthDelimited, &mut out);
        encode_varint(length as u64, &mut out);
    }
    out.freeze()
}

/// A request as gRPC sends it: the body's pieces are shared, not copied.
pub(super) fn request(head: &RequestHead, payload: Payload) -> SendBody {
    match payload {
        Payload::Rope(rope) => SendBody::from(messages(head, &rope)),
        Payload::Once { head: read, rest } => {
            let rest = Box::pin(Framed { rest, next: VecDeque::new() });
            SendBody::from(Payload::Once { head: messages(head, &read), rest })
        }
    }
}

fn messages(head: &RequestHead, body: &Rope) -> Rope {
    let mut out = Rope::new();
    let mut at = 0;
    loop {
        let end = body.len().min(at + PIECE);
        out.push(before((at == 0).then_some(head), end - at));
        body.copy_range(at..end, &mut out);
        at = end;
        if at >= body.len() {
            return out;
        }
    }
}

/// The rest of a body that goes out as it arrives, each of its pieces as a message.
struct Framed {
    rest: StreamBody,
    next: VecDeque<Bytes>,
}

impl Body for Framed {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        loop {
            if let Some(bytes) = self.next.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            match ready!(self.rest.as_mut().poll_frame(cx)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(frame)) => {
                    // Trailers of an upload mean nothing to an adapter.
                    let Ok(bytes) = frame.into_data() else { continue };
                    self.next.extend(cut(bytes));
                }
            }
        }
    }
}

fn cut(mut bytes: Bytes) -> Vec<Bytes> {
    let mut out = Vec::with_capacity(2);
    while !bytes.is_empty() {
        let piece = bytes.split_to(bytes.len().min(PIECE));
        out.push(before(None, piece.len()));
        out.push(piece);
    }
    out
}

/// Finds messages in the bytes of an answer, wherever those are cut.
#[derive(Default)]
pub(super) struct Unframer {
    /// What has come last and holds whole messages, or the start of one.
    ready: Bytes,
    /// A message of which not all has come.
    held: BytesMut,
}

/// Why an answer cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A message is compressed, which nobody asked for.
    Compressed,
    /// A message is longer than the cap.
    TooLong(usize),
}

impl Unframer {
    /// Takes what has come.
    pub(super) fn push(&mut self, bytes: Bytes) {
        if self.held.is_empty() && self.ready.is_empty() {
            self.ready = bytes;
        } else {
            self.hold();
            self.held.extend_from_slice(&bytes);
        }
    }

    /// The next whole message of at most `cap` bytes, where one has come.
    pub(super) fn next(&mut self, cap: usize) -> Result<Option<Bytes>, Fault> {
        if !self.held.is_empty() {
            let Some(length) = length(&self.held, cap)? else { return Ok(None) };
            if self.held.len() < PREFIX + length {
                self.held.reserve(PREFIX + length - self.held.len());
                return Ok(None);
            }
            self.ready = std::mem::take(&mut self.held).freeze();
        }
        match length(&self.ready, cap)? {
            Some(length) if self.ready.len() >= PREFIX + length => {
                self.ready.advance(PREFIX);
                Ok(Some(self.ready.split_to(length)))
            }
            _ => {
                self.hold();
                Ok(None)
            }
        }
    }

    /// Whether the start of a message has come and not the rest.
    pub(super) fn is_within(&self) -> bool {
        !self.held.is_empty() || !self.ready.is_empty()
    }

    fn hold(&mut self) {
        if !self.ready.is_empty() {
            self.held.extend_from_slice(&self.ready);
            self.ready = Bytes::new();
        }
    }
}

fn length(bytes: &[u8], cap: usize) -> Result<Option<usize>, Fault> {
    let [flag, a, b, c, d, ..] = bytes else { return Ok(None) };
    if *flag != 0 {
        return Err(Fault::Compressed);
    }
    let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
    if length > cap { Err(Fault::TooLong(length)) } else { Ok(Some(length)) }
}

#[cfg(test)]
mod tests {
    use atp_proto::adapter::v1::{CompleteRequest, CompleteResponse};
    use proptest::prelude::*;

    use super::*;

    fn read(unframer: &mut Unframer) -> Vec<Bytes> {
        std::iter::from_fn(|| unframer.next(1 << 20).unwrap()).collect()
    }

    proptest! {
        #[test]
        fn messages_are_found_wherever_the_bytes_are_cut(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..6),
            cuts in prop::collection::vec(1usize..30, 1..40),
        ) {
            let message = |body: &Vec<u8>| CompleteResponse { body: Bytes::from(body.clone()), ..Default::default() };
            let mut wire = Bytes::from(bodies.iter().flat_map(|body| framed(&message(body))).collect::<Vec<u8>>());
            let (mut unframer, mut found) = (Unframer::default(), Vec::new());
            for cut in cuts.iter().cycle() {
                unframer.push(wire.split_to(wire.len().min(*cut)));
                found.extend(read(&mut unframer));
                if wire.is_empty() {
                    break;
                }
            }
            prop_assert!(!unframer.is_within());
            let found: Vec<Vec<u8>> =
                found.into_iter().map(|bytes| CompleteResponse::decode(bytes).unwrap().body.to_vec()).collect();
            prop_assert_eq!(found, bodies);
        }

        #[test]
        fn a_request_is_what_the_compiler_of_messages_would_write(length in 0usize..50, cut in 0usize..50) {
            let head = RequestHead { model: "m".to_owned(), ..Default::default() };
            let body: Vec<u8> = (0..length).map(|byte| byte as u8).collect();
            let mut rope = Rope::new();
            let (left, right) = body.split_at(cut.min(length));
            rope.push(Bytes::copy_from_slice(left));
            rope.push(Bytes::copy_from_slice(right));
            let expected = CompleteRequest { head: Some(head.clone()), body: Bytes::from(body) };
            prop_assert_eq!(messages(&head, &rope).to_bytes(), framed(&expected));
        }
    }

    #[test]
    fn a_long_body_goes_out_in_several_messages() {
        let head = RequestHead::default();
        let body = Bytes::from(vec![7u8; 2 * PIECE + 3]);
        let mut unframer = Unframer::default();
        unframer.push(messages(&head, &Rope::from(body.clone())).to_bytes());
        let cap = PIECE + 100;
        let found: Vec<CompleteRequest> = std::iter::from_fn(|| unframer.next(cap).unwrap())
            .map(|bytes| CompleteRequest::decode(bytes).unwrap())
            .collect();
        assert_eq!(found.iter().map(|message| message.body.len()).collect::<Vec<_>>(), [PIECE, PIECE, 3]);
        assert_eq!(found.iter().map(|message| message.head.is_some()).collect::<Vec<_>>(), [true, false, false]);
    }

    #[test]
    fn what_is_compressed_or_too_long_is_a_fault() {
        let mut unframer = Unframer::default();
        unframer.push(Bytes::from_static(&[1, 0, 0, 0, 0]));
        assert_eq!(unframer.next(10), Err(Fault::Compressed));
        let mut unframer = Unframer::default();
        unframer.push(Bytes::from_static(&[0, 0, 0, 0, 11]));
        assert_eq!(unframer.next(10), Err(Fault::TooLong(11)));
    }
}
