"""Streams that break off and go on: what a caller of the OpenAI SDK reads, whatever happens behind the router."""

import http.server
import json
import socket
import struct
import threading
import time

import httpx
import openai
import pytest

import stage

WORDS = [f"word{number} " for number in range(12)]
TEXT = "".join(WORDS)
ASKED = [{"role": "user", "content": "Say the words."}]


class Speaker(http.server.ThreadingHTTPServer):
    """A provider that says the words, from where it is asked to go on, until it breaks off as it is told."""

    daemon_threads = True
    #: A listening queue for callers that come at once.
    request_queue_size = 64

    def __init__(self, name: str):
        super().__init__(("127.0.0.1", 0), Handler)
        self.name, self.after, self.end, self.echoes, self.tool = name, None, "close", False, False
        self.bodies = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/v1"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def play(self, after=None, end="close", echoes=False, tool=False):
        self.after, self.end, self.echoes, self.tool = after, end, echoes, tool
        self.bodies = []


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def send(self, data: bytes):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def event(self, delta, finish=None, **more):
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        name = self.server.name
        told = {"id": f"chatcmpl-{name}", "object": "chat.completion.chunk", "created": len(name), "model": name, "choices": [choice]}
        self.send(f"data: {json.dumps(told | more)}\n\n".encode())

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.bodies.append(body)
        last = body["messages"][-1]
        said = last["content"] if last["role"] == "assistant" else ""
        assert TEXT.startswith(said)
        words = WORDS[len(said.split()) :]
        if self.server.echoes and said:
            words = [said, *words]
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        self.event({"role": "assistant", "content": ""})
        if self.server.tool:
            self.event({"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{"}}]})
        for number, word in enumerate(words):
            if number == self.server.after:
                return self.break_off()
            self.event({"content": word})
        self.event({}, "stop")
        usage = {"prompt_tokens": 10 + len(said.split()), "completion_tokens": len(words)}
        usage["total_tokens"] = sum(usage.values())
        if (body.get("stream_options") or {}).get("include_usage"):
            self.event({}, choices=[], usage=usage)
        self.send(b"data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def break_off(self):
        self.close_connection = True
        match self.server.end:
            case "close":
                pass
            case "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            case "half":
                self.send(b'data: {"id":"x","choices":[{"index":0,"delta":{"content":"lo')
            case "error":
                self.send(b'data: {"error":{"message":"the model has crashed","code":500}}\n\n')
            case "garbage":
                self.send(b"data: <html>oops</html>\n\n")
            case "end":
                self.wfile.write(b"0\r\n\r\n")
            case "silence":
                time.sleep(3)


@pytest.fixture(scope="module")
def speakers():
    servers = [Speaker("one"), Speaker("two"), Speaker("three")]
    yield servers
    for server in servers:
        server.shutdown()


@pytest.fixture(scope="module")
def router(folder, speakers):
    providers = {
        server.name: {"kind": "openai", "base_url": server.url, "timeouts": {"idle": "500ms"}} for server in speakers
    }
    targets = [{"provider": server.name, "model": "m", "prefill": True, "breaker": {"failures": 0}} for server in speakers]
    ways = {name: {"targets": targets, "on_cut": name} for name in ("fail", "restart", "continue")}
    with stage.running(stage.Router(folder / "broken", providers, ways, retry=stage.UNBOUNDED)) as process:
        yield process


@pytest.fixture
def client(router):
    with openai.OpenAI(base_url=router.base_url, api_key="x", max_retries=0, timeout=30) as client:
        yield client


def read(client, model="continue", **more):
    """The text, and every chunk."""
    options = {"include_usage": True}
    chunks = list(client.chat.completions.create(model=model, messages=ASKED, stream=True, stream_options=options, **more))
    choices = [choice for chunk in chunks for choice in chunk.choices]
    return "".join(choice.delta.content or "" for choice in choices), chunks, choices


@pytest.mark.parametrize("end", ["close", "reset", "half", "error", "garbage", "end", "silence"])
def test_however_it_breaks_off_the_caller_reads_one_answer(client, speakers, end):
    one, two, three = speakers
    one.play(after=3, end=end)
    two.play()
    three.play()
    text, chunks, choices = read(client, max_tokens=50)
    assert text == TEXT
    assert {(chunk.id, chunk.created, chunk.model) for chunk in chunks} == {("chatcmpl-one", 3, "one")}
    assert sum(choice.delta.role is not None for choice in choices) == 1
    assert [choice.finish_reason for choice in choices if choice.finish_reason] == ["stop"]
    usage = [chunk.usage for chunk in chunks if chunk.usage]
    assert [(told.prompt_tokens, told.completion_tokens, told.total_tokens) for told in usage] == [(10, 12, 22)]
    asked = two.bodies[0]
    assert asked["messages"] == [*ASKED, {"role": "assistant", "content": "".join(WORDS[:3])}] and asked["max_tokens"] == 47
    assert not three.bodies


@pytest.mark.parametrize("after", range(1, len(WORDS)))
def test_wherever_it_breaks_off_nothing_is_lost_or_said_twice(client, speakers, after):
    one, two, three = speakers
    one.play(after=after)
    # What is left is cut once more where it is long enough for that.
    left = len(WORDS) - after
    two.play(after=left // 2 if left > 3 else None, echoes=after % 2 == 0 and left <= 3)
    three.play(echoes=after % 2 == 1)
    text, chunks, choices = read(client)
    assert text == TEXT
    assert {chunk.id for chunk in chunks} == {"chatcmpl-one"}
    assert sum(choice.delta.role is not None for choice in choices) == 1


def test_what_cannot_be_gone_on_with_ends_with_the_error(client, speakers):
    one, two, _ = speakers
    for model, tool, more in (("fail", False, {}), ("continue", True, {}), ("continue", False, {"logprobs": True})):
        one.play(after=2, tool=tool)
        two.play()
        with pytest.raises(openai.APIError, match="ended|broke|closed|cut"):
            read(client, model, **more)
        assert not two.bodies, model


def test_who_accepts_a_restart_is_told_of_it(router, speakers):
    one, two, _ = speakers
    one.play(after=2, tool=True)
    two.play()
    for model in ("restart", "continue"):
        body = {"model": model, "stream": True, "messages": ASKED}
        answer = httpx.post(f"{router.base_url}/chat/completions", json=body, headers={"x-atp-accept-restart": "1"}, timeout=30)
        before, marker, after = answer.text.partition('event: atp.restart\ndata: {"object":"atp.restart","reason":"provider_cut"}\n\n')
        assert marker and "word1" in before and "chatcmpl-two" not in before
        events = [json.loads(line[6:]) for line in after.splitlines() if line.startswith("data: {")]
        assert "".join(event["choices"][0]["delta"].get("content", "") for event in events) == TEXT
        assert {event["id"] for event in events} == {"chatcmpl-two"}


def test_who_does_not_accept_a_restart_gets_the_error(client, speakers):
    one, two, _ = speakers
    one.play(after=2)
    two.play()
    with pytest.raises(openai.APIError):
        read(client, "restart")
    assert not two.bodies


def test_what_went_on_is_counted_and_nothing_is_left_open(router, client, speakers):
    one, two, _ = speakers
    one.play(after=1)
    two.play()
    before = router.metrics().get('atp_streams_broken_total{way="continue"}', 0)
    assert read(client)[0] == TEXT
    metrics = router.metrics()
    assert metrics['atp_streams_broken_total{way="continue"}'] == before + 1
    assert sum(value for name, value in metrics.items() if name.startswith("atp_in_flight")) == 0
