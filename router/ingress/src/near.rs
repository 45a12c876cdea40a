//! One request over a connection of its own, for tests that look at what stands on the wire.

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use crate::Entrance;

/// Asks over HTTP/1.1 with `first` as the request's line, `extra` as further lines of its head, and a body; gives
/// the answer's head and rest as they came.
pub(crate) async fn asked(entrance: Entrance, first: &str, extra: &str, body: &str) -> (String, String) {
    let (mut near, far) = duplex(64 << 10);
    let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(far), entrance);
    let asked = async {
        let head = format!("{first} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{extra}");
        near.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).await.unwrap();
        let mut text = String::new();
        near.read_to_string(&mut text).await.unwrap();
        text
    };
    let (served, text) = tokio::join!(served, asked);
    served.unwrap();
    let (head, rest) = text.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), rest.to_owned())
}
