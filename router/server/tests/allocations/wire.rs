//! Both far sides of the router, neither of which asks for memory once it runs.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

/// Chunks of the longer stream; the shorter has one.
pub(super) const CHUNKS: u32 = 64;

const PACE: Duration = Duration::from_millis(1);

const WHOLE: &[u8] =
    b"{\"id\":\"c\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\
    \"message\":{\"role\":\"assistant\",\"content\":\"Good day.\"},\"finish_reason\":\"stop\"}],\
    \"usage\":{\"prompt_tokens\":9,\"completion_tokens\":3,\"total_tokens\":12}}";
const CHUNK: &[u8] = b"data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\
    \"choices\":[{\"index\":0,\"delta\":{\"content\":\" day\"},\"finish_reason\":null}]}\n\n";
const LAST: &[u8] = b"data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\
    \"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\
    \"usage\":{\"prompt_tokens\":9,\"completion_tokens\":3,\"total_tokens\":12}}\n\ndata: [DONE]\n\n";

/// Reads one message with a length, or in chunks, without asking for memory.
pub(super) fn read_message(socket: &mut TcpStream, buffer: &mut [u8]) -> Option<usize> {
    let mut filled = 0;
    loop {
        let read = socket.read(&mut buffer[filled..]).ok().filter(|read| *read > 0)?;
        filled += read;
        let message = &buffer[..filled];
        let Some(head) = find(message, b"\r\n\r\n") else { continue };
        let done = match find(&message[..head], b"content-length: ") {
            Some(at) => {
                let digits = message[at + 16..head].iter().take_while(|byte| byte.is_ascii_digit());
                let length = digits.fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'));
                filled >= head + 4 + length
            }
            None => message.ends_with(b"\r\n0\r\n\r\n"),
        };
        if done {
            return Some(filled);
        }
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window.eq_ignore_ascii_case(wanted))
}

/// A provider: a whole reply, or a stream of as many chunks as the request's digits after `"n-` say.
pub(super) fn provider() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            socket.set_nodelay(true).unwrap();
            std::thread::spawn(move || {
                let mut buffer = vec![0; 64 << 10];
                while let Some(length) = read_message(&mut socket, &mut buffer) {
                    let request = &buffer[..length];
                    match find(request, b"\"stream\":true") {
                        None => answer_whole(&mut socket),
                        Some(_) => {
                            answer_in_chunks(&mut socket, if find(request, b"long").is_some() { CHUNKS } else { 1 });
                        }
                    }
                }
            });
        }
    });
    address
}

fn answer_whole(socket: &mut TcpStream) {
    let mut message = [0u8; 1024];
    let room = message.len();
    let mut rest = &mut message[..];
    write!(rest, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", WHOLE.len())
        .unwrap();
    rest.write_all(WHOLE).unwrap();
    let length = room - rest.len();
    socket.write_all(&message[..length]).unwrap();
}

fn answer_in_chunks(socket: &mut TcpStream, chunks: u32) {
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    socket.write_all(head).unwrap();
    let (_never, pause) = mpsc::channel::<()>();
    for _ in 0..chunks {
        write_chunk(socket, CHUNK);
        // A chunk at a time, or the router gathers what has arrived into one piece.
        let _ = pause.recv_timeout(PACE);
    }
    write_chunk(socket, LAST);
    socket.write_all(b"0\r\n\r\n").unwrap();
}

fn write_chunk(socket: &mut TcpStream, chunk: &[u8]) {
    let mut message = [0u8; 1024];
    let room = message.len();
    let mut rest = &mut message[..];
    write!(rest, "{:x}\r\n", chunk.len()).unwrap();
    rest.write_all(chunk).unwrap();
    rest.write_all(b"\r\n").unwrap();
    let length = room - rest.len();
    socket.write_all(&message[..length]).unwrap();
}
