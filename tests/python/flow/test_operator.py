"""What an operator sees and changes: the admin port, the metrics, `atp top`."""

import json
import os
import pty
import select
import subprocess
import time

import pytest

import far
import stage

#: The names that dashboards and alerts are built on.
NAMES = """
fair_sched_grants_total fair_sched_enqueued_total fair_sched_dequeued_total fair_sched_dropped_total fair_sched_queue_depth
fair_sched_weighted_sessions fair_sched_wait_ms fair_sched_wait_max_ms fair_sched_jains_index fair_q_depth_gold
fair_q_depth_silver fair_q_depth_bronze flow_window_current flow_window_cap flow_window_adjustments_total flow_window_size
flow_active_streams flow_active_sessions flow_window_utilization_pct circuits_open preemptions_total
""".split()


@pytest.fixture(scope="module")
def router(folder):
    providers = {"sim": {"kind": "simulated"}}
    models = {"sim-fast": {"targets": [{"provider": "sim", "model": "sim-fast"}]}}
    keys = [far.key("web", tenant="shop", weight=2.5, qos="gold"), far.key("office")]
    with far.keyed(folder, "operator", providers, models, keys) as process:
        yield process


async def test_each_read_tells_its_part(router):
    # A stream: how long a whole answer takes does not tell when its first token came.
    assert (await far.ask(router, "sim-fast", far.bearer("web"), stream=True))[0] == 200
    _, weights = far.admin(router, "/admin/fair/weights")
    assert {row["tenant"]: row["weight"] for row in weights["weights"]} == {"shop": 2.5, "office": 1.0}
    _, served = far.admin(router, "/admin/fair/served")
    first = served["served"][0]
    assert first["tenant"] == first["session"] == "shop"
    assert first["served"] > 0
    assert first["served_per_weight"] == pytest.approx(first["served"] / 2.5, abs=0.001)
    assert served["jain"] == 1.0
    _, windows = far.admin(router, "/admin/windows")
    assert [(row["lane"], row["min"], row["max"]) for row in windows["windows"]] == [("sim/sim-fast", 1, 10_000)]
    _, breakers = far.admin(router, "/admin/breakers")
    assert (breakers["breakers"][0]["state"], breakers["open"]) == ("serving", 0)
    _, flow = far.admin(router, "/admin/flow")
    assert flow["requests"]["ended"] >= 1
    assert flow["pools"][0]["model"] == "sim-fast"
    assert flow["pools"][0]["granted"] >= 1
    assert flow["lanes"][0]["first_token_ms"]["p50"] > 0


@pytest.mark.parametrize(
    ("query", "method", "headers", "status", "part"),
    [
        ("tenant=shpo&weight=2", "POST", {}, 404, "did you mean `shop`?"),
        ("tenant=shop&weight=0.01", "POST", {}, 422, "0.1 to 100"),
        ("tenant=shop&weight=heavy", "POST", {}, 400, "0.1 to 100"),
        ("tenant=shop", "POST", {}, 400, "weight"),
        ("session=shop&weight=2", "POST", {}, 400, "sessions'"),
        ("tenant=shop&weight=2", "GET", {}, 405, "POST"),
        ("tenant=shop&weight=2", "POST", {"Origin": "https://evil.example"}, 403, "web page"),
        ("tenant=shop&weight=2", "POST", {"Sec-Fetch-Site": "cross-site"}, 403, "web page"),
        ("tenant=shop&weight=2", "POST", {"Host": "evil.example"}, 403, "localhost"),
    ],
)
def test_a_wrong_change_changes_nothing_and_says_why(router, query, method, headers, status, part):
    got, told = far.admin(router, f"/admin/fair/weight?{query}", method, headers)
    assert (got, part in told["detail"]) == (status, True), told
    _, weights = far.admin(router, "/admin/fair/weights")
    assert weights["weights"][0]["weight"] == 2.5


def test_a_right_change_is_told(router):
    for weight, before in ((5.0, 2.5), (2.5, 5.0)):
        status, told = far.admin(router, f"/admin/fair/weight?tenant=shop&weight={weight}", "POST")
        assert (status, told) == (200, {"tenant": "shop", "before": before, "after": weight})
        _, weights = far.admin(router, "/admin/fair/weights")
        assert weights["weights"][0] == {"tenant": "shop", "session": "shop", "weight": weight, "configured": 2.5}


async def test_the_metrics_have_the_names_that_dashboards_use(router):
    assert (await far.ask(router, "sim-fast", far.bearer("office")))[0] == 200
    _, text = stage.get(f"{router.admin_url}/metrics")
    families = {line.split(" ")[2] for line in text.decode().splitlines() if line.startswith("# TYPE ")}
    assert set(NAMES) - families == set()
    catalogue = (stage.ROOT / "docs" / "metrics.md").read_text()
    assert {name for name in families if f"`{name}`" not in catalogue} == set()
    build = next(name for name in router.metrics() if name.startswith("atp_build_info"))
    version = json.loads(subprocess.check_output([stage.binary("ATP_BIN", "atp"), "version", "--json"]))
    assert f'commit="{version["commit"] or "unknown"}"' in build


def top(router, *more: str) -> list[str]:
    return [stage.binary("ATP_BIN", "atp"), "top", "--admin", router.admin_url, "-i", "200ms", *more]


def test_top_prints_frames_where_there_is_no_terminal(router):
    frame = subprocess.check_output(top(router, "--once"), text=True, timeout=10)
    for part in ("ATP Router", "sim/sim-fast", "serving", "FIRST TOKEN", "PREEMPTED"):
        assert part in frame
    assert "\x1b" not in frame
    assert json.loads(subprocess.check_output(top(router, "--once", "--json"), timeout=10))["lanes"]


def test_top_gives_the_terminal_back(router):
    leader, follower = pty.openpty()
    child = subprocess.Popen(top(router), stdin=follower, stdout=follower, stderr=follower, start_new_session=True, preexec_fn=take_terminal)
    os.close(follower)
    seen, deadline = b"", time.monotonic() + 10
    while seen.count(b"\x1b[H") < 3:
        assert time.monotonic() < deadline, seen
        seen += read(leader)
    os.write(leader, b"\x03")
    while child.poll() is None:
        assert time.monotonic() < deadline, seen
        seen += read(leader)
    while rest := read(leader):
        seen += rest
    os.close(leader)
    assert child.returncode == 0
    assert seen.startswith(b"\x1b[?1049h\x1b[?25l")
    assert seen.endswith(b"\x1b[?25h\x1b[?1049l")


def take_terminal() -> None:
    """Makes the terminal on standard input the child's own, so that Ctrl-C reaches it."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def read(leader: int) -> bytes:
    """What is there within a moment; the end of a terminal is an error on Linux."""
    try:
        return os.read(leader, 65536) if select.select([leader], [], [], 0.2)[0] else b""
    except OSError:
        return b""
