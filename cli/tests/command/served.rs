//! The whole way on real sockets: `atp up`, then the commands that its banner names.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::far::{atp, run};

/// A running router with its banner; it ends with the test.
struct Up {
    child: Child,
    banner: String,
    _folder: tempfile::TempDir,
}

impl Up {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut child = atp()
            .arg("up")
            .envs([("ROUTER_PORT", "0"), ("ROUTER_ADMIN_PORT", "0"), ("ROUTER_WORKERS", "1"), ("ATP_CONFIG", "")])
            .env("ROUTER_DATA_DIR", folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("atp up");
        let out = child.stdout.take().expect("piped");
        let mut banner = String::new();
        let mut lines = BufReader::new(out);
        // The last thing that the banner shows; at the end of the output nothing more comes.
        while !banner.contains("atp top") && lines.read_line(&mut banner).is_ok_and(|count| count > 0) {}
        Self { child, banner, _folder: folder }
    }

    fn url(&self) -> &str {
        let line = self.banner.lines().find_map(|line| line.trim().strip_prefix("API"));
        line.map(str::trim).unwrap_or_else(|| panic!("no address in {}", self.banner))
    }

    fn admin(&self) -> &str {
        let line = self.banner.lines().find_map(|line| line.trim().strip_prefix("admin"));
        line.map(str::trim).unwrap_or_else(|| panic!("no admin in {}", self.banner))
    }

    /// The only row of the books; they are written beside the answers, so it may still be on its way.
    #[expect(
        clippy::disallowed_methods,
        reason = "another process writes the row, and nobody here is to be told to end"
    )]
    fn row(&self) -> Value {
        let url = format!("{}/admin/usage", self.admin());
        for _ in 0..100 {
            let got = Command::new("curl").args(["-s", &url]).output().expect("curl");
            let told: Value = serde_json::from_slice(&got.stdout).unwrap_or_default();
            if let Some([row]) = told["rows"].as_array().map(Vec::as_slice) {
                return row.clone();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("the books at {url} do not hold one row");
    }

    fn terminate(&mut self) -> Option<i32> {
        let told = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(told.is_ok_and(|status| status.success()));
        self.child.wait().ok().and_then(|status| status.code())
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_newcomer_starts_it_and_follows_the_banner() {
    let mut up = Up::start();
    assert!(
        up.banner.contains("sim-fast") && up.banner.contains("none configured, so only this machine"),
        "{}",
        up.banner
    );
    let url = up.url().to_owned();

    let models = run(&["models", "--url", &url]);
    assert!(models.out.contains("sim-fast") && models.out.contains("simulated"), "{} {}", models.out, models.err);

    let asked = run(&["ask", "--url", &url, "--json", "hello"]);
    let told: Value = serde_json::from_str(&asked.out).unwrap_or_default();
    assert_eq!((asked.code, &told["provider"]), (Some(0), &Value::from("simulated")), "{} {}", asked.out, asked.err);
    assert!(told["answer"].as_str().is_some_and(|answer| !answer.is_empty()), "{told}");
    assert!(told["output_tokens"].as_u64() > Some(0), "{told}");

    let line = up.banner.lines().find(|line| line.trim().starts_with("curl ")).expect("a curl line").to_owned();
    let curl = Command::new("sh").args(["-c", line.trim()]).output().expect("sh and curl");
    let streamed = String::from_utf8_lossy(&curl.stdout).into_owned();
    assert!(streamed.contains("data: [DONE]"), "{line}\n{streamed}");

    let load = run(&["load", "--url", &url, "-n", "20", "-c", "2", "--warmup", "0", "--json"]);
    let report: Value = serde_json::from_str(&load.out).unwrap_or_default();
    assert!(report["done"].as_u64() >= Some(20) && report["failed"] == 0, "{} {}", load.out, load.err);

    assert_eq!(up.terminate(), Some(0));
}

#[test]
fn a_streams_cost_is_told_and_is_that_of_the_books() {
    for json in [true, false] {
        let up = Up::start();
        let mut arguments = vec!["ask", "--url", up.url(), "what does this cost?"];
        arguments.extend(json.then_some("--json"));
        let asked = run(&arguments);
        let row = up.row();
        let micro = row["cost_micro_usd"].as_u64().filter(|micro| *micro > 0);
        let dollars = micro.unwrap_or_else(|| panic!("the books know no cost: {row}")) as f64 / 1e6;
        assert_eq!(row["stream"], true);
        if json {
            let told: Value = serde_json::from_str(&asked.out).unwrap_or_default();
            assert_eq!(told["cost_usd"].as_f64(), Some(dollars), "{told} {row}");
        } else {
            let shown = asked.err.split(" · ").find_map(|part| part.strip_prefix('$')?.parse::<f64>().ok());
            assert_eq!(shown, Some(dollars), "{} {row}", asked.err);
        }
    }
}

#[test]
fn an_unknown_model_is_refused_by_a_real_router() {
    let up = Up::start();
    let done = run(&["ask", "--url", up.url(), "-m", "nope", "hi"]);
    assert_eq!(done.code, Some(1));
    assert!(done.err.contains("nope") && done.err.contains("model_not_found, HTTP 404, request req_"), "{}", done.err);
    assert!(done.err.contains("`atp models`"), "{}", done.err);
}

#[test]
fn a_wrong_configuration_starts_nothing_and_says_where() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("atp.yaml");
    std::fs::write(&file, "listen: 127.0.0.1:0\nprovidrs: {}\n").expect("written");
    let file = file.to_str().expect("a path");
    for command in ["up", "check"] {
        let done = run(&[command, "-c", file]);
        assert_eq!((done.code, done.out.as_str()), (Some(2), ""), "{command}");
        assert!(
            done.err.contains("providrs") && done.err.contains(":2:1") && done.err.contains("providers"),
            "{}",
            done.err
        );
    }
    let done = run(&["check", "-c", file, "--json"]);
    let told: Value = serde_json::from_str(&done.out).unwrap_or_default();
    let named = |error: &Value| error["field"] == "providrs" && error["line"] == 2 && error["code"] == "unknown_field";
    assert_eq!((done.code, &told["valid"]), (Some(2), &Value::from(false)));
    assert!(told["errors"].as_array().is_some_and(|errors| errors.iter().any(named)), "{told}");
}

#[test]
fn a_right_configuration_is_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("atp.yaml");
    let text = "listen: 127.0.0.1:7443\nadmin: { listen: 127.0.0.1:7444 }\nproviders:\n  up: { kind: openai, base_url: \"http://127.0.0.1:9100/v1\", api_key: \"secret\" }\nmodels:\n  m: { targets: [ { provider: up, model: m } ] }\n";
    std::fs::write(&file, text).expect("written");
    let done = run(&["check", "-c", file.to_str().expect("a path")]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert!(done.out.contains("valid: 1 provider, 1 model, 1 route, 0 keys"), "{}", done.out);
}

#[test]
fn an_address_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("bound").port().to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let mut child = atp()
        .arg("up")
        .envs([("ROUTER_PORT", port.as_str()), ("ROUTER_ADMIN_PORT", "0")])
        .env("ROUTER_DATA_DIR", folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("atp up");
    let mut said = String::new();
    let read = child.stderr.take().expect("piped").read_to_string(&mut said);
    assert!(read.is_ok() && said.contains("error:") && said.contains(&port), "{said}");
    assert_eq!(child.wait().ok().and_then(|status| status.code()), Some(1));
}

#[test]
fn top_shows_a_running_router_and_ends_by_itself_when_asked_once() {
    let up = Up::start();
    let asked = run(&["ask", "--url", up.url().trim_end_matches("/v1"), "-m", "sim-fast", "hello"]);
    assert_eq!(asked.code, Some(0), "{}", asked.err);
    let frame = run(&["top", "--once", "--interval", "200ms", "--admin", up.admin()]);
    assert_eq!((frame.code, frame.err.as_str()), (Some(0), ""));
    for part in ["ATP Router http://127.0.0.1:", "simulated/sim-fast", "serving", "FIRST TOKEN", "PREEMPTED"] {
        assert!(frame.out.contains(part), "{part}\n{}", frame.out);
    }
    assert!(!frame.out.contains('\x1b'), "{}", frame.out);
    let told: Value =
        serde_json::from_str(&run(&["top", "--once", "--json", "--admin", up.admin()]).out).expect("json");
    assert_eq!(told["requests"]["ended"], 1);
    let wrong = run(&["top", "--once", "--admin", up.url()]);
    assert_eq!(wrong.code, Some(1));
    assert!(wrong.err.contains("--admin"), "{}", wrong.err);
}
