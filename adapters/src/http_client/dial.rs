//! From a host's name to a connected socket, where the host has several addresses: happy eyeballs
//! (RFC 8305).
//!
//! Families take turns, and an address that is silent for 250 ms does not hold up the next one: the
//! first to connect wins, and the attempts that lost are closed. A host with broken IPv6, or with one
//! dead server of several, costs a quarter of a second instead of the whole connect timer. A single
//! address is connected to without any of that.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use smallvec::SmallVec;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

/// How long an attempt is alone before the next one starts beside it: the Connection Attempt Delay
/// that RFC 8305, section 5, recommends.
const DELAY: Duration = Duration::from_millis(250);

/// A host's addresses. Most have a few.
type Addresses = SmallVec<[SocketAddr; 4]>;

/// Connects to a host. The caller's timer bounds it.
pub(super) async fn dial(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut found = tokio::net::lookup_host((host, port)).await?;
    let none = || io::Error::new(io::ErrorKind::NotFound, format!("no address for {host}"));
    let first = found.next().ok_or_else(none)?;
    let Some(second) = found.next() else { return TcpStream::connect(first).await };
    let mut addresses = Addresses::from_slice(&[first, second]);
    addresses.extend(found);
    // The race is rare and large: whoever has one address has no room for it in its future.
    Box::pin(race(taking_turns(&addresses), TcpStream::connect)).await
}

/// The resolver's order (RFC 6724 made it), with the families in turn from the first one's on
/// (RFC 8305, section 4).
fn taking_turns(addresses: &[SocketAddr]) -> Addresses {
    let leads = |address: &&SocketAddr| addresses.first().is_some_and(|first| first.is_ipv6() == address.is_ipv6());
    let mut leading = addresses.iter().filter(leads);
    let mut others = addresses.iter().filter(|address| !leads(address));
    let mut turns = Addresses::new();
    loop {
        let pair = [leading.next(), others.next()];
        if pair == [None, None] {
            return turns;
        }
        turns.extend(pair.into_iter().flatten().copied());
    }
}

/// Starts an attempt at once, then one after every pause and after every failure, until one has
/// connected. The last failure is told where all failed. What is still under way is dropped.
async fn race<T, F>(addresses: Addresses, connect: impl Fn(SocketAddr) -> F) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let mut waiting = addresses.into_iter();
    let mut attempts: FuturesUnordered<F> = waiting.next().map(&connect).into_iter().collect();
    let mut next_at = Instant::now() + DELAY;
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "no address");
    loop {
        tokio::select! {
            biased;
            ended = attempts.next(), if !attempts.is_empty() => match ended {
                Some(Ok(connected)) => return Ok(connected),
                Some(Err(error)) => failure = error,
                None => {}
            },
            () = sleep_until(next_at), if waiting.len() > 0 => {}
            else => return Err(failure),
        }
        attempts.extend(waiting.next().map(&connect));
        next_at = Instant::now() + DELAY;
    }
}

#[cfg(test)]
mod tests;
