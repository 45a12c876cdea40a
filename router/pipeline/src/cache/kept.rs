//! A kept answer, and its replay.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use atp_core::{Answer, AnswerBody, Error, Finish, MicroUsd, Operation, RateFacts, Report};
use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};

/// An answer as it is kept.
#[derive(Debug)]
pub(crate) struct Kept {
    /// The content type alone: what else a provider told belongs to the call that it was told for.
    headers: HeaderMap,
    /// All bytes in one piece of their own, so that no receive buffer is kept alive by a part of it.
    bytes: Bytes,
    /// Where the chunks of a stream end; empty for a whole answer.
    ends: Box<[usize]>,
    report: Report,
}

/// Whether an answer may be kept: a success that came to its proper end, and that would come to the
/// same end again. A length limit is part of the request, so it would; a filter's mood is not.
pub(super) fn is_keepable(operation: Operation, status: StatusCode, report: &Report) -> bool {
    let ended = match operation {
        Operation::Chat | Operation::Completions => {
            matches!(report.finish, Some(Finish::Stop | Finish::Length | Finish::ToolCalls))
        }
        _ => true,
    };
    status == StatusCode::OK && report.complete && report.failure.is_none() && ended
}

/// The headers of an answer that is given to others.
pub(super) fn headers(of: &HeaderMap) -> HeaderMap {
    of.get(CONTENT_TYPE).map(|value| (CONTENT_TYPE, value.clone())).into_iter().collect()
}

impl Kept {
    /// Keeps a whole answer.
    pub(super) fn whole(headers: HeaderMap, bytes: &[u8], report: Report) -> Self {
        Self { headers, bytes: Bytes::copy_from_slice(bytes), ends: Box::default(), report }
    }

    /// Keeps a stream by its chunks, none of which is empty.
    pub(super) fn stream<'a>(
        headers: HeaderMap,
        chunks: impl Iterator<Item = &'a Bytes> + Clone,
        report: Report,
    ) -> Self {
        let mut all = BytesMut::with_capacity(chunks.clone().map(Bytes::len).sum());
        let mut end = |chunk: &Bytes| {
            all.extend_from_slice(chunk);
            all.len()
        };
        let ends = chunks.filter(|chunk| !chunk.is_empty()).map(&mut end).collect();
        Self { headers, bytes: all.freeze(), ends, report }
    }

    /// The bytes that it takes.
    pub(super) fn size(&self) -> usize {
        // A header map with one entry takes a few hundred bytes.
        size_of::<Self>() + 512 + self.bytes.len() + self.ends.len() * size_of::<usize>()
    }

    /// The answer again.
    pub(crate) fn answer(self: &Arc<Self>) -> Answer {
        let kept = Arc::clone(self);
        // Nothing has been read of it yet, and nothing more will be known than is known now.
        let body = Box::pin(Replay { kept, at: 0, next: 0 });
        Answer { status: StatusCode::OK, headers: self.headers.clone(), limits: RateFacts::default(), body }
    }
}

/// A kept answer on its way out: a stream as the chunks in which it came, anything else whole.
struct Replay {
    kept: Arc<Kept>,
    /// Bytes that have been yielded.
    at: usize,
    /// The chunk that comes next.
    next: usize,
}

impl AnswerBody for Replay {
    fn poll_chunk(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        let whole = self.kept.bytes.len();
        let end = self.kept.ends.get(self.next).copied().unwrap_or(whole);
        if self.at >= whole {
            return Poll::Ready(None);
        }
        let chunk = self.kept.bytes.slice(self.at..end);
        (self.at, self.next) = (end, self.next + 1);
        Poll::Ready(Some(Ok(chunk)))
    }

    fn report(&self) -> &Report {
        &self.kept.report
    }

    fn take_full(mut self: Pin<&mut Self>) -> Option<Bytes> {
        if !self.kept.ends.is_empty() || self.at > 0 {
            return None;
        }
        self.at = self.kept.bytes.len();
        Some(self.kept.bytes.clone())
    }

    fn cost(&self) -> Option<MicroUsd> {
        Some(MicroUsd::default())
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use atp_core::{ErrorKind, Side};

    use super::*;

    fn report(finish: Option<Finish>) -> Report {
        Report { finish, complete: true, content: true, ..Report::default() }
    }

    #[test]
    fn only_what_came_to_a_repeatable_end_is_kept() {
        let chat = |report: &Report| is_keepable(Operation::Chat, StatusCode::OK, report);
        for finish in Finish::ALL {
            let kept = matches!(finish, Finish::Stop | Finish::Length | Finish::ToolCalls);
            assert_eq!(chat(&report(Some(finish))), kept, "{finish:?}");
        }
        assert!(!chat(&report(None)), "who does not say why he stopped may have been cut");
        assert!(is_keepable(Operation::Embeddings, StatusCode::OK, &report(None)));
        assert!(!is_keepable(Operation::Embeddings, StatusCode::ACCEPTED, &report(None)));
        let cut = Report { complete: false, ..report(Some(Finish::Stop)) };
        let error = Error::new(ErrorKind::ProviderFailed, Side::Provider, "no");
        let failed = Report { failure: Some(error), ..report(Some(Finish::Stop)) };
        assert!(!chat(&cut) && !chat(&failed));
    }

    #[tokio::test]
    async fn a_stream_is_replayed_by_its_chunks_and_a_whole_answer_whole() {
        let chunks = [Bytes::from_static(b"ab"), Bytes::new(), Bytes::from_static(b"c")];
        let kept = Arc::new(Kept::stream(HeaderMap::new(), chunks.iter(), report(None)));
        for _ in 0..2 {
            let mut body = kept.answer().body;
            assert_eq!(body.as_mut().take_full(), None);
            let mut seen = Vec::new();
            while let Some(chunk) = poll_fn(|cx| body.as_mut().poll_chunk(cx)).await {
                seen.push(chunk.unwrap());
            }
            assert_eq!(seen, ["ab", "c"]);
            assert!(body.report().complete);
        }
        let whole = Arc::new(Kept::whole(HeaderMap::new(), b"abc", report(None)));
        assert_eq!(whole.answer().body.as_mut().take_full().unwrap(), "abc");
        let mut read = whole.answer().body;
        assert_eq!(poll_fn(|cx| read.as_mut().poll_chunk(cx)).await.unwrap().unwrap(), "abc");
        assert!(poll_fn(|cx| read.as_mut().poll_chunk(cx)).await.is_none());
        assert!(whole.size() > 3);
    }
}
