//! A server below any library: it goes on sending on streams that were reset, as one does that has
//! not heard of it yet.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::far_side::spawn;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// `:status: 200`, from the static table of RFC 7541.
const OK: &[u8] = &[0x88];

/// Starts the server and returns its port. Its first stream ends well once `resets` others have
/// been reset.
pub(crate) async fn late_data(resets: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            spawn(serve(tcp, resets));
        }
    });
    port
}

async fn serve(mut tcp: TcpStream, resets: usize) -> Option<()> {
    tcp.set_nodelay(true).ok()?;
    let mut preface = [0; 24];
    tcp.read_exact(&mut preface).await.ok()?;
    send(&mut tcp, SETTINGS, 0, 0, &[]).await?;
    let (mut seen, mut first) = (0, None);
    loop {
        let mut head = [0; 9];
        tcp.read_exact(&mut head).await.ok()?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        tcp.read_exact(&mut payload).await.ok()?;
        let stream = u32::from_be_bytes(stream);
        match kind {
            SETTINGS if flags & ACK == 0 => send(&mut tcp, SETTINGS, ACK, 0, &[]).await?,
            HEADERS => {
                first.get_or_insert(stream);
                send(&mut tcp, HEADERS, END_HEADERS, stream, OK).await?;
            }
            RST_STREAM => {
                send(&mut tcp, DATA, 0, stream, b"late").await?;
                seen += 1;
                if seen == resets {
                    send(&mut tcp, DATA, END_STREAM, first?, b"last").await?;
                }
            }
            _ => {}
        }
    }
}

async fn send(tcp: &mut TcpStream, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Option<()> {
    let [_, a, b, c] = u32::try_from(payload.len()).ok()?.to_be_bytes();
    let [d, e, f, g] = stream.to_be_bytes();
    let mut frame = vec![a, b, c, kind, flags, d, e, f, g];
    frame.extend_from_slice(payload);
    tcp.write_all(&frame).await.ok()
}
