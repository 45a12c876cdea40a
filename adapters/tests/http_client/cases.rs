//! How many connections, what becomes of those that end, and what a caller who leaves takes back.

use std::sync::Arc;
use std::time::Duration;

use atp_adapters::http_client::Incoming;
use atp_core::{Error, ErrorKind};
use h2::Reason;
use tokio::task::JoinHandle;

use crate::far_side::{Call, FarSide, Order, next, read, rope, send, start, until, within};

type Started = JoinHandle<Result<Incoming, Error>>;

/// Starts so many requests at once, and waits until the server has seen them all.
async fn burst(
    far: &mut FarSide,
    client: &Arc<atp_adapters::http_client::HttpClient>,
    many: usize,
) -> (Vec<Started>, Vec<Call>) {
    let started = (0..many).map(|_| start(client)).collect();
    let mut calls = Vec::new();
    for _ in 0..many {
        calls.push(far.call().await);
    }
    (started, calls)
}

#[tokio::test]
async fn a_burst_of_first_requests_shares_one_connection() {
    let mut far = FarSide::start(100).await;
    let client = far.client(|_| {});
    let (started, calls) = burst(&mut far, &client, 40).await;
    assert_eq!((far.accepted(), client.connections()), (1, 1));
    calls.into_iter().for_each(Call::answer);
    for each in started {
        assert_eq!(read(&mut within(each).await.unwrap().unwrap()).await, b"0");
    }
}

#[tokio::test]
async fn another_connection_is_opened_when_streams_fill_one() {
    let mut far = FarSide::start(100).await;
    let client = far.client(|settings| settings.streams_per_connection = 50);
    let (started, calls) = burst(&mut far, &client, 120).await;
    assert_eq!((far.accepted(), client.connections()), (3, 3));
    let on = |number: usize| calls.iter().filter(|call| call.connection == number).count();
    assert!((0..3).all(|number| on(number) <= 50), "{:?}", [on(0), on(1), on(2)]);
    calls.into_iter().for_each(Call::answer);
    for each in started {
        read(&mut within(each).await.unwrap().unwrap()).await;
    }
    // The oldest is filled first, so that the others run empty.
    let (started, calls) = burst(&mut far, &client, 20).await;
    assert!(calls.iter().all(|call| call.connection == calls[0].connection));
    drop((started, calls));
}

#[tokio::test]
async fn no_connection_gets_more_streams_than_its_server_allows() {
    let mut far = FarSide::start(4).await;
    let client = far.client(|_| {});
    // A request beyond the allowance would wait for an answer that never ends, and never be seen.
    let (_started, calls) = burst(&mut far, &client, 10).await;
    assert!((3..=4).contains(&far.accepted()), "{}", far.accepted());
    drop(calls);
}

#[tokio::test]
async fn who_waits_for_a_handshake_that_hangs_opens_another() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut far = FarSide::start(100).await;
    far.port = listener.local_addr().unwrap().port();
    let client = far.client(|_| {});
    let (_one, _two) = (start(&client), start(&client));
    // The server takes connections and says nothing, not even its settings.
    let first = within(listener.accept()).await.unwrap();
    let second = within(listener.accept()).await.unwrap();
    until("both are open", || client.connections() == 2).await;
    drop((first, second));
}

#[tokio::test]
async fn a_goaway_finishes_what_has_begun_and_moves_the_rest() {
    let mut far = FarSide::start(100).await;
    let client = far.client(|_| {});
    let (mut started, mut calls) = burst(&mut far, &client, 1).await;
    let mut stream = calls[0].begin();
    let mut long = within(started.remove(0)).await.unwrap().unwrap();
    far.order(Order::Leave);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let later = start(&client);
    let call = far.call().await;
    assert_eq!(call.connection, 1);
    call.answer();
    assert_eq!(read(&mut within(later).await.unwrap().unwrap()).await, b"1");
    assert_eq!(client.connections(), 2);
    stream.send_data("last".into(), true).unwrap();
    assert_eq!(read(&mut long).await, b"firstlast");
    until("the first connection ends with its last stream", || client.connections() == 1).await;
}

#[tokio::test]
async fn requests_on_a_connection_that_dies_go_to_one_fresh_one() {
    for order in [Order::Cut, Order::Abort] {
        let mut far = FarSide::start(100).await;
        let client = far.client(|_| {});
        let (mut started, mut calls) = burst(&mut far, &client, 1).await;
        calls.remove(0).answer();
        read(&mut within(started.remove(0)).await.unwrap().unwrap()).await;
        let (started, calls) = burst(&mut far, &client, 20).await;
        far.order(order);
        drop(calls);
        for _ in 0..20 {
            let call = far.call().await;
            assert_eq!(call.connection, 1, "{order:?}");
            call.answer();
        }
        for each in started {
            assert_eq!(read(&mut within(each).await.unwrap().unwrap()).await, b"1");
        }
        assert_eq!(far.accepted(), 2, "{order:?}");
        until("the dead one is not counted", || client.connections() == 1).await;
    }
}

#[tokio::test]
async fn an_answer_that_has_begun_is_not_asked_for_again() {
    let mut far = FarSide::start(100).await;
    let client = far.client(|_| {});
    let (mut started, mut calls) = burst(&mut far, &client, 1).await;
    let _stream = calls[0].begin();
    let mut incoming = within(started.remove(0)).await.unwrap().unwrap();
    assert_eq!(next(&mut incoming).await.unwrap().unwrap(), "first");
    far.order(Order::Cut);
    assert_eq!(next(&mut incoming).await.unwrap().unwrap_err().kind(), ErrorKind::ProviderCut);
    assert_eq!(far.accepted(), 1);
}

#[tokio::test]
async fn a_refused_stream_is_sent_again_and_a_failed_one_is_not() {
    for (reason, again) in [(Reason::REFUSED_STREAM, true), (Reason::INTERNAL_ERROR, false)] {
        let mut far = FarSide::start(100).await;
        let client = far.client(|_| {});
        let (mut started, mut calls) = burst(&mut far, &client, 1).await;
        calls.remove(0).answer();
        read(&mut within(started.remove(0)).await.unwrap().unwrap()).await;
        let (mut started, mut calls) = burst(&mut far, &client, 1).await;
        calls[0].respond.send_reset(reason);
        if again {
            far.call().await.answer();
            assert_eq!(read(&mut within(started.remove(0)).await.unwrap().unwrap()).await, b"1");
        } else {
            let error = within(started.remove(0)).await.unwrap().map(|_| ()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ProviderCut);
            assert_eq!(far.accepted(), 1);
        }
    }
}

#[tokio::test]
async fn a_peer_that_is_gone_without_a_word_is_noticed() {
    let mut far = FarSide::start(100).await;
    let client = far.client(|settings| settings.silence = Duration::from_millis(200));
    let (mut started, mut calls) = burst(&mut far, &client, 2).await;
    let _stream = calls[0].begin();
    let mut incoming = within(started.remove(0)).await.unwrap().unwrap();
    assert_eq!(next(&mut incoming).await.unwrap().unwrap(), "first");
    far.order(Order::Freeze);
    assert_eq!(next(&mut incoming).await.unwrap().unwrap_err().kind(), ErrorKind::ProviderCut);
    // The other had no answer yet, and has come to a fresh connection by itself.
    let call = far.call().await;
    assert_eq!(call.connection, 1);
    call.answer();
    assert_eq!(read(&mut within(started.remove(0)).await.unwrap().unwrap()).await, b"1");
}

#[tokio::test]
async fn a_caller_who_leaves_resets_his_stream_at_once() {
    let mut far = FarSide::start(100).await;
    let client = far.client(|settings| settings.streams_per_connection = 2);
    for _ in 0..50 {
        // One leaves before the head, one within the answer: each gives its place back.
        let (mut started, mut calls) = burst(&mut far, &client, 2).await;
        let mut stream = calls[0].begin();
        let incoming = within(started.remove(0)).await.unwrap().unwrap();
        drop(incoming);
        started.remove(0).abort();
        let within_the_answer = std::future::poll_fn(|cx| stream.poll_reset(cx));
        let both = async { (within_the_answer.await.unwrap(), calls[1].reset().await) };
        let reasons = tokio::time::timeout(Duration::from_millis(500), both).await.expect("at once");
        assert_eq!(reasons, (Reason::CANCEL, Reason::CANCEL));
    }
    assert_eq!((far.accepted(), client.connections()), (1, 1));
}

#[tokio::test]
async fn a_caller_who_leaves_while_he_still_sends_resets_his_stream() {
    let mut far = FarSide::start(100).await;
    let client = far.client(|_| {});
    let upload: &'static [u8] = Box::leak(vec![b'x'; 1 << 20].into_boxed_slice());
    let mine = Arc::clone(&client);
    // The server reads nothing, so that the body stands at the end of its window.
    let sending = crate::far_side::spawn(async move { send(&mine, rope(upload)).await });
    let mut call = far.call().await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    sending.abort();
    assert_eq!(within(call.reset()).await, Reason::CANCEL);
    assert_eq!(call.request.uri().path(), "/v1/chat/completions");
}

#[tokio::test]
async fn callers_who_leave_in_numbers_cost_nobody_his_answer() {
    const LEAVING: usize = 1500;
    let port = crate::raw::late_data(LEAVING).await;
    let mut far = FarSide::start(100).await;
    far.port = port;
    let client = far.client(|_| {});
    let mut stays = within(send(&client, rope(b"{}"))).await.unwrap();
    for _ in 0..LEAVING {
        drop(within(send(&client, rope(b"{}"))).await.unwrap());
    }
    assert_eq!(read(&mut stays).await, b"last");
    assert_eq!(client.connections(), 1);
}

#[tokio::test]
async fn a_caller_who_reads_slowly_holds_up_nobody() {
    let mut far = FarSide::start(100).await;
    let client = far.client(|settings| settings.streams_per_connection = 50);
    let (started, mut calls) = burst(&mut far, &client, 50).await;
    let mut last = calls.pop().unwrap();
    for call in &mut calls {
        call.begin().send_data(vec![0; 1 << 20].into(), true).unwrap();
    }
    // Every slow stream has filled its window by now.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let head = http::Response::builder().header("x-quick", "1").body(()).unwrap();
    let mut stream = last.respond.send_response(head, false).unwrap();
    stream.send_data("quick".into(), true).unwrap();
    let mut all = Vec::new();
    for each in started {
        all.push(within(each).await.unwrap().unwrap());
    }
    let quick = all.iter_mut().find(|incoming| incoming.headers.contains_key("x-quick")).unwrap();
    assert_eq!(read(quick).await, b"quick");
}

#[tokio::test]
async fn the_sweep_takes_unused_connections_only() {
    let mut far = FarSide::start(100).await;
    let idle = Duration::from_millis(400);
    let client = far.client(|settings| settings.idle = idle);
    let (mut started, mut calls) = burst(&mut far, &client, 1).await;
    let mut stream = calls[0].begin();
    let mut incoming = within(started.remove(0)).await.unwrap().unwrap();
    tokio::time::sleep(idle).await;
    client.sweep();
    stream.send_data("last".into(), true).unwrap();
    assert_eq!(read(&mut incoming).await, b"firstlast");
    drop(incoming);
    // It was in use a moment ago, however long ago the request came.
    client.sweep();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(client.connections(), 1);
    tokio::time::sleep(idle).await;
    client.sweep();
    until("it is closed", || client.connections() == 0).await;
}

#[tokio::test]
async fn answers_outlive_the_client() {
    let mut far = FarSide::start(100).await;
    let client = far.client(|_| {});
    let (mut started, mut calls) = burst(&mut far, &client, 1).await;
    let mut stream = calls[0].begin();
    let mut incoming = within(started.remove(0)).await.unwrap().unwrap();
    drop(client);
    tokio::time::sleep(Duration::from_millis(50)).await;
    stream.send_data("last".into(), true).unwrap();
    assert_eq!(read(&mut incoming).await, b"firstlast");
}
