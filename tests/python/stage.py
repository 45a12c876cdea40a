"""The stage of the suites: the real binary, the scripted upstream and the real model as processes.

Every process gets a free port, writes its output to a file, and is ended by its own id.
"""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]

#: Scripts of the upstream, offered as models of the same name.
SCRIPTS = [
    "fast",
    "echo",
    "tools",
    "tools:2",
    "n2",
    "embed3",
    "stream8",
    "stream500-paced:5",
    "stream500-paced:10",
    "status-400",
    "status-401",
    "status-403",
    "status-404",
    "status-409",
    "status-413",
    "status-422",
    "status-429",
    "status-429:1",
    "status-500",
    "status-503",
    "html-502",
    "flaky:2",
    "reset",
    "no-answer",
    "cut-body",
    "cut-chunk:3",
    "reset-stream:3",
    "hang-head",
    "hang-stream:3",
    "error-in-200:0",
    "error-in-200:3",
    "garbage-sse",
    "slow-head:300",
]


#: The suites let providers fail all the time, and one test's failures must not use up what another one may retry. The
#: budget of retries has tests of its own.
UNBOUNDED = {"budget_floor": 1000}


def binary(variable: str, name: str) -> str:
    """The binary under test: from the environment, else what the test profile built."""
    path = pathlib.Path(os.environ.get(variable) or ROOT / "target" / "quick" / name)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not built; run `make build-tests` or set {variable}")
    return str(path)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def environment(**extra: str) -> dict[str, str]:
    """The environment without anything that would configure the router."""
    drop = ("OPENAI_", "ROUTER_", "OLLAMA_", "ATP_", "RUST_LOG")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(drop)}
    return kept | extra


class Process:
    """A child with its output in a file."""

    def __init__(self, command: list[str], log: pathlib.Path, env: dict[str, str] | None = None, cwd: pathlib.Path | None = None):
        self.log = log
        with log.open("wb") as out:
            self.child = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=env or environment(), cwd=cwd)

    def send(self, number: signal.Signals) -> None:
        self.child.send_signal(number)

    def tail(self, lines: int = 40) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self, seconds: float = 15.0) -> int:
        """Asks it to end, waits, and insists; returns its exit code."""
        if self.child.poll() is None:
            # A stopped process would never see the request to end.
            self.child.send_signal(signal.SIGCONT)
            self.child.terminate()
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.child.kill()
            return self.child.wait()

    def wait_for(self, ready, what: str, seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while not ready():
            if self.child.poll() is not None:
                raise RuntimeError(f"{what}: ended with {self.child.returncode}:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"{what}: not ready after {seconds} s:\n{self.tail()}")
            time.sleep(0.02)


def get(url: str, seconds: float = 5.0) -> tuple[int, bytes]:
    """Status and body; a refused connection is status 0."""
    try:
        with urllib.request.urlopen(url, timeout=seconds) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.read()
    except OSError:
        return 0, b""


class Upstream(Process):
    """The scripted provider; see bench/src/upstream/script.rs for what its models do."""

    def __init__(self, folder: pathlib.Path):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [binary("ATP_UPSTREAM_BIN", "atp-upstream"), "--listen", f"127.0.0.1:{self.port}", "--record", "50"]
        super().__init__(command, folder / "upstream.log")
        self.wait_for(lambda: get(f"{self.url}/_stats")[0] == 200, "the scripted upstream")

    def stats(self) -> dict[str, int]:
        return json.loads(get(f"{self.url}/_stats")[1])

    def requests(self) -> list[dict]:
        return json.loads(get(f"{self.url}/_requests")[1])

    def reset(self) -> None:
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/_reset", method="POST"), timeout=5).read()


class Router(Process):
    """`atp up` with a configuration made from Python data: JSON is YAML."""

    def __init__(self, folder: pathlib.Path, providers: dict, models: dict, env: dict[str, str] | None = None, **more):
        folder.mkdir(parents=True, exist_ok=True)
        self.port, self.admin_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.base_url = f"{self.url}/v1"
        self.admin_url = f"http://127.0.0.1:{self.admin_port}"
        self.config = folder / "atp.yaml"
        self.config.write_text(
            json.dumps(
                {
                    "listen": f"127.0.0.1:{self.port}",
                    "admin": {"listen": f"127.0.0.1:{self.admin_port}"},
                    "providers": providers,
                    "models": models,
                    **more,
                },
                indent=2,
            )
        )
        command = [binary("ATP_BIN", "atp"), "up", "-c", str(self.config)]
        super().__init__(command, folder / "router.log", environment(**(env or {})), folder)
        # The admin port is in the clear also where callers connect with TLS.
        self.wait_for(lambda: get(f"{self.admin_url}/readyz")[0] == 200, "atp up")

    def metrics(self) -> dict[str, float]:
        """Every sample of `/metrics`, by its name with labels."""
        status, text = get(f"{self.admin_url}/metrics")
        assert status == 200
        lines = (line for line in text.decode().splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


class Model(Process):
    """One server of the small real model."""

    NAME = "smollm2-135m"

    def __init__(self, folder: pathlib.Path, label: str = "model"):
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}/v1"
        log = folder / f"{label}-server.log"
        command = [sys.executable, str(ROOT / "tools" / "model" / "serve.py"), "--port", str(self.port)]
        command += ["--threads", "1", "--name", self.NAME, "--log", str(log)]
        super().__init__(command, folder / f"{label}.log")
        self.wait_for(lambda: self.log.read_text().startswith("http"), "the model server", 120)


def scripted(provider: str = "up") -> dict:
    """A model for each script of the upstream."""
    return {name: {"targets": [{"provider": provider, "model": name}]} for name in SCRIPTS}


def openai_provider(upstream_url: str) -> dict:
    return {"kind": "openai", "base_url": f"{upstream_url}/v1", "api_key": "upstream-secret"}


def rewrite(router, change) -> None:
    """Changes the configuration file in one step, as editors and orchestrators do."""
    config = json.loads(router.config.read_text())
    change(config)
    fresh = router.config.with_suffix(".new")
    fresh.write_text(json.dumps(config))
    fresh.rename(router.config)


@contextlib.contextmanager
def running(process: Process):
    """Stops the process at the end and shows its output when the body failed."""
    try:
        yield process
    except BaseException:
        print(f"--- {process.log.name}\n{process.tail()}")
        raise
    finally:
        process.stop()
