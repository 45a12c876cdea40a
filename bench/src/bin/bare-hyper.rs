//! The reference: a bare hyper pass-through with one thread, its own pool and no logic at all.
//!
//! What it costs is the floor of every gateway built on hyper; what a gateway costs above it is
//! its own.
#![expect(clippy::print_stderr, reason = "a reference program for the comparison tells its troubles on standard error")]

use std::cell::RefCell;
use std::io::Read as _;
use std::net::SocketAddr;
use std::rc::Rc;

use anyhow::Context as _;
use clap::Parser;
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::LocalSet;

/// A bare HTTP/1.1 pass-through: one thread, one pool, no logic.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen.
    #[arg(long)]
    listen: SocketAddr,
    /// Where every request goes.
    #[arg(long)]
    upstream: SocketAddr,
    /// End when standard input ends, so that no orphan outlives a crashed parent.
    #[arg(long)]
    until_stdin_closes: bool,
}

type Pool = Rc<RefCell<Vec<SendRequest<Incoming>>>>;

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let _ = atp_bench::pin::raise_open_files();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (ended, mut end) = tokio::sync::mpsc::channel::<()>(1);
    if arguments.until_stdin_closes {
        std::thread::spawn(move || {
            // Whatever comes, only the end matters; the dropped sender tells it.
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            drop(ended);
        });
    } else {
        std::mem::forget(ended);
    }
    runtime.block_on(LocalSet::new().run_until(async {
        tokio::select! {
            result = serve(arguments.listen, arguments.upstream) => result,
            _ = end.recv() => Ok(()),
        }
    }))
}

async fn serve(listen: SocketAddr, upstream: SocketAddr) -> anyhow::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(listen).with_context(|| format!("listen on {listen}"))?;
    let listener = socket.listen(4096)?;
    let pool = Pool::default();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let pool = Rc::clone(&pool);
        tokio::task::spawn_local(async move {
            let service = service_fn(|request| forward(request, upstream, Rc::clone(&pool)));
            let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // A caller that leaves ends its connection with an error that nobody needs.
            let _ = connection.await;
        });
    }
}

async fn forward(request: Request<Incoming>, upstream: SocketAddr, pool: Pool) -> anyhow::Result<Response<Incoming>> {
    let idle = std::iter::from_fn(|| pool.borrow_mut().pop()).find(SendRequest::is_ready);
    let mut sender = match idle {
        Some(sender) => sender,
        None => connect(upstream).await?,
    };
    let answer = sender.send_request(request).await?;
    // The connection is ready again once the answer's body has been read to its end.
    tokio::task::spawn_local(async move {
        if sender.ready().await.is_ok() {
            pool.borrow_mut().push(sender);
        }
    });
    Ok(answer)
}

async fn connect(upstream: SocketAddr) -> anyhow::Result<SendRequest<Incoming>> {
    let stream = TcpStream::connect(upstream).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::task::spawn_local(async move {
        if let Err(error) = connection.await {
            eprintln!("upstream connection: {error}");
        }
    });
    Ok(sender)
}
