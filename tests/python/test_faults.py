"""Faults on real sockets, beyond what an SDK can see: silence, resets, storms, floods, slow peers."""

import contextlib
import json
import pathlib
import socket
import time

import httpx
import pytest

import stage
import wire

MILLION = 1_000_000


@contextlib.contextmanager
def dead_end():
    """A port that is taken and never answers: its queue of connections is full, so that a new one waits for ever."""
    with socket.socket() as listener, contextlib.ExitStack() as filling:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = filling.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@pytest.fixture(scope="module")
def router(folder, upstream):
    """Short timers, small limits, one model per fault."""
    with dead_end() as full_port:
        up = stage.openai_provider(upstream.url)
        providers = {
            "up": up | {"timeouts": {"connect": "300ms", "first_byte": "300ms", "idle": "300ms"}},
            "closed": {"kind": "openai", "base_url": f"http://127.0.0.1:{stage.free_port()}/v1"},
            "full": {"kind": "openai", "base_url": f"http://127.0.0.1:{full_port}/v1", "timeouts": {"connect": "300ms"}},
        }
        models = {name: {"targets": [{"provider": "up", "model": name}]} for name in (*stage.SCRIPTS, "long-line:100MB", "early-413")}
        models |= {name: {"targets": [{"provider": name, "model": "m"}]} for name in ("closed", "full")}
        models["storm"] = {"targets": [{"provider": "up", "model": "status-429:5"}, {"provider": "up", "model": "fast"}]}
        limits = {"max_body": "200KiB", "max_header": "8KiB", "header_timeout": "700ms", "body_timeout": "1s"}
        with stage.running(stage.Router(folder / "faults", providers, models, limits=limits)) as process:
            yield process


def ask(router, model, stream=False):
    body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": "Hello"}]}
    return httpx.post(f"{router.base_url}/chat/completions", json=body, timeout=30)


def resident(router) -> int:
    """Bytes of memory that the router holds now."""
    status = pathlib.Path(f"/proc/{router.child.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) * 1024


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("closed", 502, "provider_unreachable"),
        ("full", 504, "timeout_connect"),
        ("hang-head", 504, "timeout_first_byte"),
        ("reset", 502, "provider_cut"),
        ("no-answer", 502, "provider_cut"),
        ("cut-body", 502, "provider_cut"),
        ("status-500", 500, "provider_failed"),
        ("html-502", 502, "provider_failed"),
        ("status-429", 429, "provider_overloaded"),
        ("early-413", 413, "provider_rejected"),
    ],
)
def test_each_fault_has_its_own_code(router, model, status, code):
    started = time.monotonic()
    answer = ask(router, model)
    assert (answer.status_code, answer.headers["x-atp-error"]) == (status, code), answer.text
    assert set(answer.json()["error"]) >= {"message", "type", "param", "code"}
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("model", "code"),
    [("hang-stream:3", "timeout_idle"), ("cut-chunk:3", "provider_cut"), ("reset-stream:3", "provider_cut")],
)
def test_a_stream_that_fails_says_why_in_its_last_event(router, model, code):
    answer = ask(router, model, stream=True)
    events = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    assert "token2 " in events[2]
    assert json.loads(events[-1])["error"]["code"] == code


def test_a_storm_of_429_is_walked_around(router):
    for _ in range(20):
        answer = ask(router, "storm")
        assert (answer.status_code, answer.headers["x-atp-model"]) == (200, "fast")


async def test_an_outage_is_not_multiplied(router, seen):
    """Retries are a tenth of the requests plus a small floor, however many fail."""
    load = wire.Load(router.port, callers=8, models=("status-500",))
    await load.run(requests=400)
    asked = len(load.failures)
    assert load.served == 0
    assert seen.stats()["requests_total"] <= asked * 1.1 + 100


def test_a_line_of_100_mb_passes_without_being_held(router):
    before = resident(router)
    body = {"model": "long-line:100MB", "stream": True, "messages": []}
    got = 0
    with httpx.stream("POST", f"{router.base_url}/chat/completions", json=body, timeout=60) as answer:
        for piece in answer.iter_raw():
            got += len(piece)
    assert got > 100 * MILLION
    assert resident(router) - before < 24 * MILLION


def test_a_slow_reader_slows_the_provider_and_fills_no_memory(router, seen):
    before = resident(router)
    body = {"model": "long-line:100MB", "stream": True, "messages": []}
    with httpx.stream("POST", f"{router.base_url}/chat/completions", json=body, timeout=60) as answer:
        pieces = answer.iter_raw()
        next(pieces)
        time.sleep(1)
        assert seen.stats()["bytes_out"] < 50 * MILLION
        assert resident(router) - before < 24 * MILLION


def exchange(router, *parts: bytes, pause: float = 0.0) -> bytes:
    """Sends parts with pauses between them and reads until the router closes."""
    with socket.create_connection(("127.0.0.1", router.port), timeout=10) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for part in parts:
                connection.sendall(part)
                time.sleep(pause)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := connection.recv(65536):
                answer += piece
        return answer


HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: router\r\ncontent-type: application/json\r\n"


def test_a_head_that_drips_is_cut_off(router):
    started = time.monotonic()
    exchange(router, *[bytes([byte]) for byte in HEAD], pause=0.1)
    # The sender stops when the connection is gone, long before the head is complete.
    assert time.monotonic() - started < len(HEAD) * 0.1


def test_a_body_that_stops_is_refused(router):
    started = time.monotonic()
    answer = exchange(router, HEAD + b"content-length: 1000\r\n\r\n{")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"request_timeout" in answer
    assert time.monotonic() - started < 8


def test_a_body_over_the_limit_is_refused_before_it_is_read(router):
    answer = exchange(router, HEAD + b"content-length: 1000000\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"body_too_large" in answer


def test_a_chunked_body_over_the_limit_is_refused_while_it_is_read(router):
    chunk = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
    answer = exchange(router, HEAD + b"transfer-encoding: chunked\r\n\r\n", *[chunk] * 10)
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_head_over_the_limit_is_refused(router):
    answer = exchange(router, HEAD + b"x-long: " + b"x" * 20_000 + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 431 ")


def test_after_all_that_nothing_is_held(router, seen):
    deadline = time.monotonic() + 5
    held = {}
    while time.monotonic() < deadline:
        held = {name: value for name, value in router.metrics().items() if name in ("atp_in_flight", "atp_tasks") and value}
        if not held and seen.stats()["requests_open"] == 0:
            return
        time.sleep(0.02)
    raise AssertionError(f"still held: {held}, {seen.stats()}")
