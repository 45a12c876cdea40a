//! The scripted upstream as a process: `atp-upstream --listen 127.0.0.1:9100 --core 1`.
#![expect(clippy::print_stdout, reason = "the address on standard output is this program's answer")]

use std::io::Read as _;
use std::net::SocketAddr;

use anyhow::Context as _;
use atp_bench::upstream::{NAMES, Options, Upstream};
use clap::Parser;

/// A scripted OpenAI-like upstream. A request chooses its script by header `x-script` or model name.
#[derive(Parser)]
#[command(version, after_help = format!("Scripts: {NAMES}\nGET /_stats, GET /_requests (with --record), POST /_reset"))]
struct Arguments {
    /// Where to listen; port 0 takes a free one, which is printed.
    #[arg(long, default_value = "127.0.0.1:9100")]
    listen: SocketAddr,
    /// Bind the serving thread to this core.
    #[arg(long)]
    core: Option<usize>,
    /// Keep so many of the last requests for `GET /_requests`.
    #[arg(long, default_value_t = 0)]
    record: usize,
    /// End when standard input ends, so that no orphan outlives a crashed parent.
    #[arg(long)]
    until_stdin_closes: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let files = atp_bench::pin::raise_open_files();
    let options = Options { listen: arguments.listen, record: arguments.record, core: arguments.core };
    let upstream = Upstream::start(options).with_context(|| format!("listen on {}", arguments.listen))?;
    println!("listening on {} (at most {files} open files)", upstream.address());
    if arguments.until_stdin_closes {
        // Whatever comes, only the end matters; an unreadable input is an end too.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
    } else {
        upstream.join();
    }
    Ok(())
}
