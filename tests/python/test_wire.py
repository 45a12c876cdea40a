"""TLS and HTTP/2 on both sides: a router before a router, and callers who speak each version to each port."""

import asyncio
import json
import shutil
import signal
import socket
import ssl
import subprocess
import time

import httpx
import openai
import pytest

import stage
from certificates import Authority

CHAT = "/v1/chat/completions"

#: A model that streams for three seconds, and one that streams for a minute.
SIMULATED = {
    "steady": {"time_to_first_token_ms": 5, "tokens_per_second": 20, "output_tokens": 60},
    "endless": {"time_to_first_token_ms": 5, "tokens_per_second": 20, "output_tokens": 1200},
    "brief": {"time_to_first_token_ms": 5, "tokens_per_second": 1000, "output_tokens": 20},
}

#: Quick to leave, so that the tests are; long enough for every stream.
DRAIN = {"min_delay": "100ms", "grace": "10s"}

class Secure(stage.Process):
    """`atp up` with TLS before simulated models."""

    def __init__(self, folder, authority: Authority):
        folder.mkdir()
        self.port, self.admin_port = stage.free_port(), stage.free_port()
        self.base_url = f"https://localhost:{self.port}/v1"
        self.admin_url = f"http://127.0.0.1:{self.admin_port}"
        self.cert, self.key, self.config = folder / "cert.pem", folder / "key.pem", folder / "atp.yaml"
        authority.sign(self.cert, self.key)
        config = {
            "listen": f"127.0.0.1:{self.port}",
            "admin": {"listen": f"127.0.0.1:{self.admin_port}"},
            "tls": {"cert": "cert.pem", "key": "key.pem"},
            "providers": {"sim": {"kind": "simulated", "simulated": {"models": SIMULATED}}},
            "models": {name: {"targets": [{"provider": "sim", "model": name}]} for name in SIMULATED},
            "drain": DRAIN,
        }
        self.config.write_text(json.dumps(config))
        command = [stage.binary("ATP_BIN", "atp"), "up", "-c", str(self.config)]
        super().__init__(command, folder / "router.log", stage.environment(), folder)
        self.wait_for(lambda: stage.get(f"{self.admin_url}/readyz")[0] == 200, "atp up with TLS")

    metrics = stage.Router.metrics

    def certificate(self) -> str:
        return ssl.get_server_certificate(("127.0.0.1", self.port))


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path, "first")


@pytest.fixture
def back(tmp_path, authority):
    with stage.running(Secure(tmp_path / "back", authority)) as process:
        yield process


@pytest.fixture
def front(tmp_path, authority, back):
    """One worker, so that what one pool does can be counted."""
    shutil.copy(authority.ca, tmp_path / "trusted.pem")
    provider = {
        "kind": "openai",
        "base_url": back.base_url,
        "api_key": "any",
        "ca_file": str(tmp_path / "trusted.pem"),
        "http2": "auto",
    }
    models = {name: {"targets": [{"provider": "back", "model": name}]} for name in SIMULATED}
    with stage.running(stage.Router(tmp_path / "front", {"back": provider}, models, workers=1, drain=DRAIN)) as process:
        yield process


@pytest.fixture
async def client(front):
    limits = httpx.Limits(max_connections=200)
    async with httpx.AsyncClient(base_url=front.url, timeout=30, limits=limits) as client:
        yield client


def body(model: str, stream: bool = False) -> dict:
    return {"model": model, "stream": stream, "messages": [{"role": "user", "content": "Say something"}]}


def upstream_connections(router) -> float:
    return router.metrics()['atp_upstream_connections{provider="back"}']


async def until(condition, seconds: float = 10.0) -> float:
    """Waits for a condition; returns how long that took."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, f"not so within {seconds} s"
        await asyncio.sleep(0.002)
    return time.monotonic() - started


async def whole(client, model: str) -> str:
    """Reads a stream to its end and returns what it said."""
    text = ""
    async with client.stream("POST", CHAT, json=body(model, stream=True)) as answer:
        assert answer.status_code == 200, await answer.aread()
        lines = [line async for line in answer.aiter_lines() if line]
    assert lines[-1] == "data: [DONE]", lines[-3:]
    for line in lines[:-1]:
        for choice in json.loads(line.removeprefix("data: "))["choices"]:
            text += choice["delta"].get("content") or ""
    return text


async def test_chat_and_stream_through_both(front, back, client):
    answer = await client.post(CHAT, json=body("brief"))
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"]
    assert await whole(client, "brief")
    async with openai.AsyncOpenAI(base_url=front.base_url, api_key="none", max_retries=0) as sdk:
        stream = await sdk.chat.completions.create(model="brief", messages=body("brief")["messages"], stream=True)
        assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])
    assert upstream_connections(front) == 1
    assert back.metrics()["atp_connections"] == 1


async def test_many_streams_share_few_connections(front, back, client):
    streams = [asyncio.create_task(whole(client, "steady")) for _ in range(120)]
    await until(lambda: back.metrics()["atp_in_flight"] == 120)
    # Fifty streams a connection: three are needed, and no more are opened.
    assert upstream_connections(front) == 3
    assert back.metrics()["atp_connections"] == 3
    assert all(await asyncio.gather(*streams))
    for router in (front, back):
        await until(lambda: router.metrics()["atp_in_flight"] == 0)


async def test_a_caller_who_leaves_is_noticed_at_the_far_end(front, back, client):
    waits = []
    for _ in range(5):
        async with client.stream("POST", CHAT, json=body("endless", stream=True)) as answer:
            lines = answer.aiter_lines()
            for _ in range(4):
                await anext(lines)
            assert back.metrics()["atp_in_flight"] == 1
            left = time.monotonic()
        await until(lambda: back.metrics()["atp_in_flight"] == 0)
        waits.append(time.monotonic() - left)
    # Two routers, and the time that it takes to ask for the metrics.
    assert min(waits) < 0.1, waits
    # The stream was reset; the connection that others use stays.
    assert upstream_connections(front) == 1
    assert front.metrics()["atp_in_flight"] == 0


@pytest.mark.parametrize("told", ["by the file", "by SIGHUP"])
async def test_a_certificate_is_replaced_without_dropping_a_stream(tmp_path, front, back, client, told):
    before = back.certificate()
    stream = asyncio.create_task(whole(client, "steady"))
    await until(lambda: back.metrics()["atp_in_flight"] == 1)
    # Another authority: who trusts only the first one cannot connect any more.
    second = Authority(tmp_path, "second")
    second.sign(back.cert, back.key)
    if told == "by SIGHUP":
        back.send(signal.SIGHUP)
    await until(lambda: back.certificate() != before)
    # What is connected stays so, for streams under way and for new ones.
    assert await whole(client, "brief")
    # The front learns the new authority by its file; its next connection needs it.
    (tmp_path / "fresh.pem").write_text(second.ca.read_text())
    (tmp_path / "fresh.pem").rename(tmp_path / "trusted.pem")
    await until(lambda: front.metrics()["atp_config_reloads_total"] == 1)
    assert await whole(client, "brief")
    assert upstream_connections(front) == 1
    assert await stream


async def test_an_untrusted_certificate_is_refused(tmp_path, front, back, client):
    stranger = Authority(tmp_path, "stranger")
    stranger.sign(back.cert, back.key)
    before = back.certificate()
    await until(lambda: back.certificate() != before)
    answer = await client.post(CHAT, json=body("brief"))
    assert (answer.status_code, answer.headers["x-atp-error"]) == (502, "provider_unreachable"), answer.text
    assert "TLS with the provider" in answer.json()["error"]["message"]


async def test_a_provider_that_leaves_in_order_finishes_its_streams(front, back, client):
    stream = asyncio.create_task(whole(client, "steady"))
    await until(lambda: back.metrics()["atp_in_flight"] == 1)
    back.send(signal.SIGTERM)
    text = await stream
    # Its last words, and not only the end that any stream has.
    assert text.endswith("…"), text
    assert back.child.wait(10) == 0
    await until(lambda: upstream_connections(front) == 0)
    answer = await client.post(CHAT, json=body("brief"))
    assert (answer.status_code, answer.headers["x-atp-error"]) == (502, "provider_unreachable"), answer.text


def curl(*arguments: str) -> tuple[str, str, str]:
    """Body, status, version."""
    command = ["curl", "--silent", "--show-error", "--max-time", "20", "--write-out", "\n%{http_code} %{http_version}"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    content, _, about = done.stdout.rpartition("\n")
    return content, *about.split()


@pytest.fixture(scope="session")
def http2_curl():
    done = subprocess.run(["curl", "--version"], capture_output=True, text=True) if shutil.which("curl") else None
    if done is None or "HTTP2" not in done.stdout:
        pytest.skip("no curl that speaks HTTP/2")


@pytest.mark.usefixtures("http2_curl")
@pytest.mark.parametrize("stream", [False, True])
def test_both_versions_on_both_ports(front, back, authority, stream):
    data = ["--json", json.dumps(body("brief", stream))]
    secure = ["--cacert", str(authority.ca), f"{back.base_url}/chat/completions"]
    plain = [f"{front.base_url}/chat/completions"]
    for where, version, spoken in [
        (plain, "--http2-prior-knowledge", "2"),
        (plain, "--http1.1", "1.1"),
        (secure, "--http2", "2"),
        (secure, "--http1.1", "1.1"),
    ]:
        content, status, got = curl(version, *data, *where)
        assert (status, got) == ("200", spoken), content
        assert content.rstrip().endswith("data: [DONE]" if stream else "}"), content[-200:]


@pytest.mark.usefixtures("http2_curl")
def test_a_caller_on_http2_keeps_his_stream_while_the_router_leaves(back, authority):
    command = ["curl", "--silent", "--no-buffer", "--http2", "--cacert", str(authority.ca)]
    command += ["--json", json.dumps(body("steady", stream=True)), f"{back.base_url}/chat/completions"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as caller:
        first = caller.stdout.readline()
        assert first.startswith("data: "), first
        back.send(signal.SIGTERM)
        rest = caller.stdout.read()
        assert caller.wait(10) == 0
    assert rest.rstrip().endswith("data: [DONE]"), rest[-200:]
    assert back.child.wait(10) == 0


def test_plain_http_on_a_tls_port_is_told_so(back):
    answer = httpx.post(f"http://127.0.0.1:{back.port}{CHAT}", json=body("brief"))
    assert answer.status_code == 400
    assert "https://" in answer.json()["error"]["message"]


def test_tls_on_a_plain_port_ends_at_once(front):
    started = time.monotonic()
    with pytest.raises(ssl.SSLError):
        with socket.create_connection(("127.0.0.1", front.port), timeout=10) as plain:
            ssl.create_default_context().wrap_socket(plain, server_hostname="localhost")
    assert time.monotonic() - started < 1


def test_a_handshake_without_a_common_version_ends_at_once(back, authority):
    context = ssl.create_default_context(cafile=str(authority.ca))
    context.set_alpn_protocols(["spdy/3"])
    with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
        with socket.create_connection(("127.0.0.1", back.port), timeout=10) as plain:
            context.wrap_socket(plain, server_hostname="localhost")


@pytest.mark.parametrize("cut", [1, 2, 3, 8])
def test_first_bytes_may_come_one_by_one(front, cut):
    """`P` may become `POST` or the preface of HTTP/2."""
    data = json.dumps(body("brief")).encode()
    request = f"POST {CHAT} HTTP/1.1\r\nhost: router\r\nconnection: close\r\ncontent-length: {len(data)}\r\n\r\n".encode() + data
    settings = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    for whole, begins in [(request, b"HTTP/1.1 200"), (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings, None)]:
        with socket.create_connection(("127.0.0.1", front.port), timeout=10) as caller:
            caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            caller.sendall(whole[:cut])
            time.sleep(0.06)
            caller.sendall(whole[cut:])
            got = caller.recv(4096)
        if begins:
            assert got.startswith(begins), got
        else:
            # The server's first frame is SETTINGS, type 4.
            assert got[3] == 4, got
