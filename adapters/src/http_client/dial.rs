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
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use socket2::{Domain, Socket, Type};
    use tokio::net::TcpListener;

    use super::*;

    fn addresses(texts: &[&str]) -> Addresses {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns_in_the_resolvers_order() {
        let turns = taking_turns(&addresses(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"]));
        assert_eq!(turns, addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]));
        let turns = taking_turns(&addresses(&["1.1.1.1:1", "2.2.2.2:1", "[::1]:1"]));
        assert_eq!(turns, addresses(&["1.1.1.1:1", "[::1]:1", "2.2.2.2:1"]));
    }

    /// What an attempt does, and after how many milliseconds.
    #[derive(Clone, Copy)]
    enum Far {
        Connects(u64),
        Refuses(u64),
        Silent,
    }

    /// Notes when an attempt begins and, if it was given up, that.
    struct Attempt(Rc<RefCell<Vec<String>>>, usize, bool);

    impl Drop for Attempt {
        fn drop(&mut self) {
            if !self.2 {
                self.0.borrow_mut().push(format!("{} given up", self.1));
            }
        }
    }

    /// Which address won or how all failed, and what happened when.
    async fn raced(fars: &[Far]) -> (Result<usize, String>, Vec<String>) {
        let log = Rc::new(RefCell::new(Vec::new()));
        let begun = Instant::now();
        let list = (0..fars.len()).map(|at| SocketAddr::from(([127, 0, 0, 1], at as u16))).collect();
        let won = race(list, |address| {
            let (log, at) = (Rc::clone(&log), usize::from(address.port()));
            let far = fars[at];
            async move {
                log.borrow_mut().push(format!("{at} at {}", begun.elapsed().as_millis()));
                let mut attempt = Attempt(log, at, false);
                let (Far::Connects(ms) | Far::Refuses(ms)) = far else { return std::future::pending().await };
                tokio::time::sleep(Duration::from_millis(ms)).await;
                attempt.2 = true;
                if let Far::Refuses(_) = far { Err(io::Error::other(format!("{at} refused"))) } else { Ok(at) }
            }
        });
        let won = won.await.map_err(|error| error.to_string());
        let log = log.borrow().clone();
        (won, log)
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_to_connect_wins_and_the_others_are_given_up() {
        use Far::{Connects, Refuses, Silent};
        let (won, log) = raced(&[Connects(200), Silent]).await;
        assert_eq!((won, log), (Ok(0), vec!["0 at 0".to_owned()]), "no second attempt without need");
        let (won, log) = raced(&[Silent, Connects(300), Silent, Silent]).await;
        assert_eq!(won, Ok(1));
        assert_eq!(log[..3], ["0 at 0", "1 at 250", "2 at 500"]);
        assert_eq!(log[3..].len(), 2, "{log:?}");
        let (won, log) = raced(&[Connects(600), Silent, Connects(400)]).await;
        assert_eq!((won, log[2].as_str()), (Ok(0), "2 at 500"));
        let (won, log) = raced(&[Refuses(10), Refuses(10), Connects(10)]).await;
        assert_eq!((won, log), (Ok(2), vec!["0 at 0".to_owned(), "1 at 10".to_owned(), "2 at 20".to_owned()]));
        let (won, _) = raced(&[Refuses(300), Refuses(10)]).await;
        assert_eq!(won, Err("0 refused".to_owned()), "the last one to fail");
    }

    /// A socket that takes no connection any more: its queue is full, and the system drops what comes.
    fn black_hole(address: SocketAddr) -> (Socket, Vec<Socket>) {
        let hole = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        hole.bind(&address.into()).unwrap();
        hole.listen(0).unwrap();
        let fill = |_| {
            let filler = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            filler.set_nonblocking(true).unwrap();
            // It is under way, and stays so.
            let _ = filler.connect(&address.into());
            filler
        };
        (hole, (0..4).map(fill).collect())
    }

    #[tokio::test]
    async fn a_black_holed_address_costs_a_quarter_of_a_second() {
        let served = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let served = served.local_addr().unwrap();
        let swallowed = SocketAddr::from(([127, 0, 0, 2], served.port()));
        let (_hole, _fillers) = black_hole(swallowed);
        let alone = tokio::time::timeout(Duration::from_millis(400), TcpStream::connect(swallowed)).await;
        assert!(alone.is_err(), "the black hole answers");
        let begun = Instant::now();
        let tcp = race(Addresses::from_slice(&[swallowed, served]), TcpStream::connect).await.unwrap();
        assert_eq!(tcp.peer_addr().unwrap(), served);
        assert!((250..900).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    }
}
