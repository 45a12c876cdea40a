//! The far side and the near side: a router that says what it is told to say, and the binary.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;

/// A router that answers one connection with each of its texts.
pub(crate) struct Far {
    pub(crate) url: String,
    played: JoinHandle<io::Result<Vec<String>>>,
}

impl Far {
    pub(crate) fn play(answers: Vec<String>) -> Self {
        let (listener, url) = listen();
        let play = move || answers.iter().map(|answer| serve(listener.accept()?.0, answer)).collect();
        Self { url, played: std::thread::spawn(play) }
    }

    /// An address at which nobody listens.
    pub(crate) fn nobody() -> String {
        listen().1
    }

    /// What was asked, head and body, once all answers are given.
    pub(crate) fn asked(self) -> Vec<String> {
        match self.played.join() {
            Ok(Ok(asked)) => asked,
            other => panic!("the play ended early: {other:?}"),
        }
    }
}

fn listen() -> (TcpListener, String) {
    match TcpListener::bind("127.0.0.1:0").and_then(|listener| Ok((listener.local_addr()?, listener))) {
        Ok((address, listener)) => (listener, format!("http://{address}")),
        Err(error) => panic!("no free port: {error}"),
    }
}

fn serve(mut stream: TcpStream, answer: &str) -> io::Result<String> {
    let mut asked = String::new();
    let mut room = [0; 4096];
    while !is_whole(&asked) {
        match stream.read(&mut room)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => asked.push_str(&String::from_utf8_lossy(room.get(..count).unwrap_or_default())),
        }
    }
    // A caller that has read enough may be gone.
    let _ = stream.write_all(answer.as_bytes());
    Ok(asked)
}

fn is_whole(asked: &str) -> bool {
    let Some((head, body)) = asked.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

/// How the binary ended and what it printed.
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// The binary, without what the environment of the tests may hold.
pub(crate) fn atp() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_atp"));
    command.env_clear();
    command
}

pub(crate) fn run(arguments: &[&str]) -> Done {
    run_with_input(arguments, "")
}

pub(crate) fn run_with_input(arguments: &[&str], input: &str) -> Done {
    let done =
        atp().args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().and_then(
            |mut child| {
                // A command that reads no input may have ended already.
                let _ = child.stdin.take().map(|mut stdin| stdin.write_all(input.as_bytes()));
                child.wait_with_output()
            },
        );
    match done {
        Ok(done) => Done {
            code: done.status.code(),
            out: String::from_utf8_lossy(&done.stdout).into_owned(),
            err: String::from_utf8_lossy(&done.stderr).into_owned(),
        },
        Err(error) => panic!("{arguments:?} cannot be run: {error}"),
    }
}
