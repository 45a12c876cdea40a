//! Where bodies end, however the wire is cut.

use proptest::prelude::*;

use super::*;

/// Reads a body from pieces of the wire; its bytes, and what follows it.
fn read(mut framing: Framing, pieces: &[&[u8]]) -> Result<(Vec<u8>, Vec<u8>, bool), &'static str> {
    let (mut body, mut behind) = (Vec::new(), Vec::new());
    for piece in pieces {
        let mut wire = Bytes::copy_from_slice(piece);
        while !wire.is_empty() && !framing.is_done() {
            body.extend_from_slice(&framing.take(&mut wire)?);
        }
        behind.extend_from_slice(&wire);
    }
    Ok((body, behind, framing.is_done()))
}

#[test]
fn chunks_are_read_wherever_the_wire_is_cut() {
    let wire = b"4;ext=\"a b\"\r\nWiki\r\n5 \r\npedia\r\nE\r\n in\r\n\r\nchunks.\r\n0\r\nX-T: 1\r\nY: 2\r\n\r\nHTTP";
    for first in 0..wire.len() {
        for second in first..wire.len() {
            let pieces = [&wire[..first], &wire[first..second], &wire[second..]];
            let (body, behind, done) = read(Framing::chunked(), &pieces).unwrap();
            assert_eq!((&body[..], &behind[..], done), (&b"Wikipedia in\r\n\r\nchunks."[..], &b"HTTP"[..], true));
        }
    }
}

#[test]
fn a_run_alone_is_not_copied() {
    let mut wire = Bytes::from_static(b"5\r\nhello\r\n");
    let place = wire.as_ptr();
    let run = Framing::chunked().take(&mut wire).unwrap();
    assert_eq!(run.as_ptr(), place.wrapping_add(3));
    let mut length = Framing::length(3);
    let mut plain = Bytes::from_static(b"abcdef");
    assert_eq!(run, "hello");
    assert_eq!((length.take(&mut plain).unwrap(), &plain[..], length.is_done()), ("abc".into(), &b"def"[..], true));
}

#[test]
fn what_is_no_chunk_is_an_error() {
    for wire in [
        "\r\n",
        "g\r\n",
        "-1\r\n",
        "+5\r\n",
        "0x5\r\n",
        "5\n",
        "5\rx",
        "5;a\n",
        "5\r\nhellox",
        "5\r\nhello\rx",
        "11111111111111111\r\n",
        "0\r\nx: 1\n",
        "0\r\n\rx",
        "0\r\nx\rx",
        "0\r\n\n",
    ] {
        assert!(read(Framing::chunked(), &[wire.as_bytes()]).is_err(), "{wire:?}");
    }
    let extension = format!("5;{}", "x".repeat(LONGEST_EXTRA as usize + 1));
    let trailers = format!("0\r\n{}", "a: b\r\n".repeat(LONGEST_EXTRA as usize / 4 + 1));
    assert!(read(Framing::chunked(), &[extension.as_bytes()]).is_err());
    assert!(read(Framing::chunked(), &[trailers.as_bytes()]).is_err());
}

#[test]
fn a_body_that_is_cut_has_not_ended() {
    for wire in ["5\r\nhel", "5\r\nhello", "5\r\nhello\r\n", "5\r\nhello\r\n0\r\n", "5\r\nhello\r\n0\r\n\r"] {
        let (_, _, done) = read(Framing::chunked(), &[wire.as_bytes()]).unwrap();
        assert!(!done, "{wire:?}");
    }
    assert!(!read(Framing::until_close(), &[b"abc"]).unwrap().2);
}

#[test]
fn the_largest_sizes_overflow_nothing() {
    let (body, _, done) = read(Framing::chunked(), &[b"ffffffffffffffff\r\nabc"]).unwrap();
    assert_eq!((&body[..], done), (&b"abc"[..], false));
    assert_eq!(read(Framing::length(u64::MAX), &[b"abc"]).unwrap().0, b"abc");
}

proptest! {
    #[test]
    fn any_chunks_give_the_body_whole(
        runs in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..600), 0..8),
        step in 1usize..700,
    ) {
        let mut wire = Vec::new();
        for run in &runs {
            wire.extend_from_slice(format!("{:X}\r\n", run.len()).as_bytes());
            wire.extend_from_slice(run);
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(b"0\r\n\r\n");
        let pieces: Vec<&[u8]> = wire.chunks(step).collect();
        let (body, behind, done) = read(Framing::chunked(), &pieces).unwrap();
        prop_assert_eq!((body, behind.len(), done), (runs.concat(), 0, true));
    }

    #[test]
    fn any_bytes_end_or_are_refused(wire in prop::collection::vec(any::<u8>(), 0..400), step in 1usize..50) {
        let pieces: Vec<&[u8]> = wire.chunks(step).collect();
        if let Ok((body, behind, _)) = read(Framing::chunked(), &pieces) {
            prop_assert!(body.len() + behind.len() <= wire.len());
        }
    }
}
