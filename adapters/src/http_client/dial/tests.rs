//! Races in paused time, and one against a black hole on real sockets.

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
