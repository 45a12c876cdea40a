//! Logs written to an output that the test holds.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use serde_json::Value;
use tracing::{debug, error, info, info_span, warn};

use super::{Format, LogConfig, Logs, check_filter};

const PATIENCE: Duration = Duration::from_secs(10);

/// An output that keeps everything.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    fn json(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An output that takes nothing until it is told to.
struct Stuck {
    go: mpsc::Receiver<()>,
    open: bool,
    kept: Kept,
}

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.open {
            self.open = self.go.recv().is_ok();
        }
        self.kept.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs `events` with logs of this format and returns what was written.
fn logged(format: Format, filter: &str, events: impl FnOnce(&Logs)) -> Kept {
    let kept = Kept::default();
    let config = LogConfig { format, filter: filter.to_owned(), ..LogConfig::default() };
    let (logs, dispatch) = Logs::build(&config, Box::new(kept.clone())).unwrap();
    tracing::dispatcher::with_default(&dispatch, || events(&logs));
    assert!(logs.flush(PATIENCE));
    kept
}

#[test]
fn a_json_line_holds_the_event_and_its_fields() {
    let kept = logged(Format::Json, "info", |_| {
        warn!(target: "atp_x", request_id = "req_1", tokens = 7u64, share = 0.5, ok = true, what = ?Some(1), "two\nlines \"q\"");
    });
    let [line] = kept.json().try_into().unwrap();
    let ts = line["ts"].as_str().unwrap();
    assert!(ts.ends_with('Z') && ts.as_bytes()[10] == b'T' && ts.len() >= 20, "{ts}");
    assert_eq!((&line["level"], &line["target"]), (&Value::from("warn"), &Value::from("atp_x")));
    assert_eq!(line["message"], "two\nlines \"q\"");
    assert_eq!((&line["request_id"], &line["tokens"]), (&Value::from("req_1"), &Value::from(7)));
    assert_eq!(
        (&line["share"], &line["ok"], &line["what"]),
        (&Value::from(0.5), &Value::from(true), &Value::from("Some(1)"))
    );
}

#[test]
fn odd_values_are_still_json() {
    let kept = logged(Format::Json, "info", |_| {
        info!(
            nan = f64::NAN,
            large = u64::MAX,
            huge = u128::MAX,
            control = "\u{0}\u{1b}[2J",
            level = "mine",
            r#type = 1
        );
        info!("");
    });
    let lines = kept.json();
    assert_eq!((&lines[0]["nan"], &lines[0]["large"]), (&Value::from("NaN"), &Value::from(u64::MAX)));
    assert_eq!((&lines[0]["level"], &lines[0]["level_"]), (&Value::from("info"), &Value::from("mine")));
    assert_eq!((&lines[0]["type"], &lines[1]["message"]), (&Value::from(1), &Value::from("")));
}

#[test]
fn spans_tell_their_fields_outermost_first() {
    let kept = logged(Format::Json, "info", |_| {
        let outer = info_span!("exchange", request_id = "req_1", model = tracing::field::Empty);
        outer.record("model", "m");
        outer.in_scope(|| info_span!("attempt", number = 2).in_scope(|| info!("tried")));
    });
    let spans = kept.json()[0]["spans"].clone();
    let expected = r#"[{"span":"exchange","request_id":"req_1","model":"m"},{"span":"attempt","number":2}]"#;
    assert_eq!(spans, serde_json::from_str::<Value>(expected).unwrap());
}

#[test]
fn secrets_are_masked_by_the_names_of_their_fields() {
    for format in [Format::Json, Format::Text, Format::Coloured] {
        let kept = logged(format, "info", |_| {
            let span = info_span!("call", api_key = "sk-one");
            span.in_scope(|| info!(authorization = "Bearer sk-two", token = ?"sk-three", input_tokens = 5, "called"));
        });
        let text = kept.text();
        assert!(!text.contains("sk-") && text.contains("***"), "{text}");
        assert!(text.contains('5'), "{text}");
    }
}

#[test]
fn text_cannot_be_forged_by_a_value() {
    let kept = logged(Format::Text, "info", |_| {
        info!(
            path = "/x y\n2026-01-01T00:00:00Z error forged\u{1b}[2J",
            empty = "",
            plain = "m",
            "message with\nbreak"
        );
    });
    let text = kept.text();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
    assert!(text.contains(" info  ") && text.contains(r#"empty="" plain=m"#), "{text}");
}

#[test]
fn the_filter_can_be_changed_while_running() {
    let kept = logged(Format::Json, "warn", |logs| {
        info!("before");
        logs.set_filter("info,atp_noise=off").unwrap();
        info!("after");
        error!(target: "atp_noise", "silent");
        assert!(logs.set_filter("inof").is_err());
        info!("kept");
        debug!("never");
    });
    let messages: Vec<Value> = kept.json().into_iter().map(|line| line["message"].clone()).collect();
    assert_eq!(messages, ["after", "kept"]);
}

#[test]
fn a_filter_that_would_silence_everything_by_mistake_is_refused() {
    for good in ["info", "OFF", "warn,atp_pipeline=debug", "info, hyper=off", "info,[span{id=1}]=trace"] {
        assert!(check_filter(good).is_ok(), "{good}");
    }
    for bad in ["", " ", "inof", "atp_pipeline", "info,hyper=loud", "info,"] {
        let text = check_filter(bad).unwrap_err().to_string();
        assert!(text.contains(&format!("`{bad}`")) && text.contains("atp_pipeline=debug"), "{text}");
    }
}

#[test]
fn an_output_that_does_not_keep_up_costs_lines_and_no_time() {
    let (go, waits) = mpsc::channel();
    let kept = Kept::default();
    let config = LogConfig { buffer_bytes: 10_000, ..LogConfig::default() };
    let output = Stuck { go: waits, open: false, kept: kept.clone() };
    let (logs, dispatch) = Logs::build(&config, Box::new(output)).unwrap();
    tracing::dispatcher::with_default(&dispatch, || {
        info!("first");
        assert!(!logs.flush(Duration::from_millis(100)), "the output is stuck");
        for n in 0..1000 {
            info!(n, "flood");
        }
    });
    let dropped = logs.dropped();
    assert!(dropped > 0);
    go.send(()).unwrap();
    assert!(logs.flush(PATIENCE));
    // The notice of the loss follows in this batch or the next one.
    assert!(logs.flush(PATIENCE));
    let lines = kept.json();
    let flood = lines.iter().filter(|line| line["message"] == "flood").count() as u64;
    assert_eq!(flood + dropped, 1000);
    let told: u64 = lines.iter().filter_map(|line| line["lines"].as_u64()).sum();
    assert_eq!(told, dropped);
}

#[test]
fn an_output_that_is_gone_is_counted_and_survived() {
    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (logs, dispatch) = Logs::build(&LogConfig::default(), Box::new(Gone)).unwrap();
    tracing::dispatcher::with_default(&dispatch, || {
        for n in 1..=3u64 {
            info!("lost");
            assert!(logs.flush(PATIENCE));
            assert_eq!(logs.dropped(), n);
        }
    });
}

#[test]
fn dropping_the_logs_writes_what_waits() {
    let kept = Kept::default();
    let (logs, dispatch) = Logs::build(&LogConfig::default(), Box::new(kept.clone())).unwrap();
    tracing::dispatcher::with_default(&dispatch, || info!("last words"));
    drop(logs);
    assert!(kept.text().contains("last words"));
}

#[test]
fn lines_after_a_long_silence_still_come() {
    let kept = logged(Format::Json, "info", |_| {
        info!("one");
        // Longer than the thread stays awake without a line.
        let (_never, silence) = mpsc::channel::<()>();
        let _silent = silence.recv_timeout(Duration::from_millis(1300));
        info!("two");
        let _written = silence.recv_timeout(Duration::from_millis(300));
    });
    assert_eq!(kept.json().len(), 2);
}

#[test]
fn a_line_from_within_a_value_is_a_line_of_its_own() {
    struct Chatty;
    impl std::fmt::Debug for Chatty {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            info!("inner");
            f.write_str("chatty")
        }
    }
    let kept = logged(Format::Json, "info", |_| info!(who = ?Chatty, "outer"));
    assert!(kept.json().iter().any(|line| line["who"] == "chatty"));
}

#[test]
fn a_value_of_any_length_is_cut() {
    let kept = logged(Format::Json, "info", |_| info!(prompt = "ä".repeat(100_000), "long"));
    assert_eq!(kept.json()[0]["prompt"].as_str().unwrap().len(), 8192);
}
