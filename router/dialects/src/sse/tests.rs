//! Claims about single streams; `crate::tests` compares with a plain reading of the standard.

use super::*;

/// Every block of a stream that comes in chunks: its bytes, or `None` for one beyond the cap.
fn blocks(cap: usize, chunks: &[&str]) -> Vec<Option<String>> {
    let mut decoder = Decoder::new(cap);
    let mut all = Vec::new();
    for chunk in chunks {
        let mut at = 0;
        loop {
            match decoder.next(chunk.as_bytes(), at) {
                Step::Block(block) => {
                    at = block.end;
                    all.push((!block.oversized).then(|| String::from_utf8(block.bytes.to_vec()).unwrap()));
                }
                Step::Tail(end) => {
                    at = end;
                    all.push(None);
                }
                Step::Rest(rest) => {
                    if rest == Rest::Overflow {
                        decoder.take_held();
                    }
                    break;
                }
            }
        }
    }
    all
}

#[test]
fn a_block_ends_behind_its_blank_line() {
    let all = blocks(99, &["data: a\n\ndata: b\r\n\r", "\ndata: c\r", "\rdata: d"]);
    assert_eq!(all, ["data: a\n\n", "data: b\r\n\r\n", "data: c\r\r"].map(|block| Some(block.to_owned())));
}

#[test]
fn a_block_beyond_the_cap_is_not_gathered_and_the_next_one_is_read() {
    let expected = vec![None, Some("data: b\n\n".to_owned())];
    assert_eq!(blocks(9, &["data: 12345\n\ndata: b\n\n"]), expected);
    assert_eq!(blocks(9, &["data: 1", "2345\n", "\ndata: b\n\n"]), expected);
    assert_eq!(blocks(9, &["data: 12345", "6789", "\n\ndata: b", "\n\n"]), expected);
}

#[test]
fn the_cap_keeps_memory_small() {
    let mut decoder = Decoder::new(1024);
    let chunk = vec![b'x'; 700];
    let mut overflows = 0;
    for _ in 0..1000 {
        overflows += usize::from(matches!(decoder.next(&chunk, 0), Step::Rest(Rest::Overflow)));
        assert!(decoder.held.capacity() <= 1024);
    }
    assert_eq!(overflows, 1);
}

#[test]
fn bytes_of_data_are_found_in_the_block() {
    let mut decoder = Decoder::default();
    let Step::Block(block) = decoder.next(b"data: ab\nid: 1\ndata:cd\ndata\n\n", 0) else { panic!("no block") };
    let event = block.event();
    assert_eq!(&event.data()[..], b"ab\ncd\n");
    let text = |range| event.locate(range).iter().map(|place| &block.bytes[place.clone()]).collect::<Vec<_>>();
    assert_eq!(text(0..2), [b"ab"]);
    assert_eq!(text(1..4), [&b"b"[..], b"c"]);
    assert!(text(2..3).is_empty());
}
