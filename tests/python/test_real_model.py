"""The small real language model behind the router: answers, streams, grammar, loss of a server."""

import http.server
import json
import math
import signal
import subprocess
import sys
import threading
import time

import httpx
import openai
import pydantic
import pytest

import stage
import test_cancel

pytestmark = pytest.mark.real
NAME = stage.Model.NAME


@pytest.fixture(scope="module")
def weights():
    """The fetched model; without it these tests are skipped, and say so."""
    done = subprocess.run(
        [sys.executable, str(stage.ROOT / "tools" / "model" / "fetch.py")], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"THE REAL MODEL IS NOT TESTED: {done.stderr.strip()}")
    return done.stdout.strip()


@pytest.fixture(scope="module")
def model(folder, weights):
    with stage.running(stage.Model(folder)) as process:
        yield process


@pytest.fixture(scope="module")
def routed(folder, model):
    providers = {"local": {"kind": "openai", "base_url": model.base_url}}
    models = {NAME: {"targets": [{"provider": "local", "model": NAME}]}}
    with stage.running(stage.Router(folder / "real", providers, models)) as process:
        yield process


@pytest.fixture(scope="module")
def through(routed):
    return openai.OpenAI(base_url=routed.base_url, api_key="x", max_retries=0, timeout=60)


@pytest.fixture(scope="module")
def direct(model):
    return openai.OpenAI(base_url=model.base_url, api_key="x", max_retries=0, timeout=60)


#: The same request gives the same tokens. The prompt cache is off: a cached prefix changes the order of
#: additions in the first batch, and with it now and then a token.
FIXED = {"temperature": 0, "seed": 7, "extra_body": {"cache_prompt": False}}


def ask(client, text, **options):
    options = {"max_tokens": 32} | FIXED | options
    return client.chat.completions.create(model=NAME, messages=[{"role": "user", "content": text}], **options)


@pytest.mark.parametrize("text", ["What is the capital of France?", "Why is the sky blue?", "Zähle auf: eins, zwei"])
def test_an_answer_equals_the_direct_one(through, direct, text):
    routed, straight = ask(through, text), ask(direct, text)
    assert routed.choices[0].message.content == straight.choices[0].message.content
    assert routed.usage.completion_tokens == straight.usage.completion_tokens > 0


def test_it_knows_the_capital_of_france(through):
    assert "Paris" in ask(through, "What is the capital of France?").choices[0].message.content


def test_a_stream_equals_the_whole(through):
    whole = ask(through, "Why is the sky blue?").choices[0].message.content
    with ask(through, "Why is the sky blue?", stream=True) as stream:
        chunks = list(stream)
    assert len(chunks) > 10
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole


def test_usage_of_a_stream_comes_when_asked(through):
    with ask(through, "Hello", stream=True, stream_options={"include_usage": True}) as stream:
        assert list(stream)[-1].usage.completion_tokens > 0


class Person(pydantic.BaseModel):
    name: str = pydantic.Field(max_length=16)
    age: int


def test_the_answer_keeps_to_a_schema(through):
    answer = through.chat.completions.parse(
        model=NAME,
        messages=[{"role": "user", "content": "Describe Ann, who is 31 years old."}],
        response_format=Person,
        max_tokens=64,
        **FIXED,
    )
    assert answer.choices[0].message.parsed.age == 31


def test_log_probabilities_equal_the_direct_ones(through, direct):
    def tokens(client):
        content = ask(client, "Hello", max_tokens=5, logprobs=True, top_logprobs=3).choices[0].logprobs.content
        return [(token.token, token.logprob, len(token.top_logprobs)) for token in content]

    routed, straight = tokens(through), tokens(direct)
    assert [token[0] for token in routed] == [token[0] for token in straight]
    assert all(math.isclose(a[1], b[1], abs_tol=1e-3) and a[2] == 3 for a, b in zip(routed, straight, strict=True))


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_embeddings_equal_the_direct_ones(through, direct, encoding):
    def vectors(client):
        raw = client.embeddings.with_raw_response.create(model=NAME, input=["a bridge", "a violin"], encoding_format=encoding)
        return [item["embedding"] for item in raw.http_response.json()["data"]]

    assert vectors(through) == vectors(direct)


def test_embeddings_in_the_sdks_default_encoding(through):
    near, far = [item.embedding for item in through.embeddings.create(model=NAME, input=["a bridge", "a violin"]).data]
    assert len(near) == 576 and near != far


def busy_slots(model: stage.Model) -> float:
    text = stage.get(f"http://127.0.0.1:{model.port}/metrics")[1].decode()
    [line] = [line for line in text.splitlines() if line.startswith("llamacpp:requests_processing ")]
    return float(line.split()[1])


def test_leaving_mid_stream_frees_the_model(through, model):
    stream = ask(through, "Write a very long story.", max_tokens=2000, stream=True)
    iterator = iter(stream)
    for _ in range(3):
        next(iterator)
    assert busy_slots(model) == 1
    stream.close()
    # llama.cpp itself looks for a lost caller between tokens.
    test_cancel.until(lambda: busy_slots(model) == 0, 3)


@pytest.fixture
def pair(folder, weights, tmp_path):
    """A router over two servers of the model; the first one will be lost."""
    with stage.running(stage.Model(tmp_path, "first")) as first, stage.running(stage.Model(tmp_path, "second")) as second:
        providers = {
            "first": {"kind": "openai", "base_url": first.base_url},
            "second": {"kind": "openai", "base_url": second.base_url},
        }
        models = {NAME: {"targets": [{"provider": name} for name in providers], "timeouts": {"first_byte": "3s", "idle": "3s"}}}
        with stage.running(stage.Router(tmp_path / "pair", providers, models)) as router:
            with openai.OpenAI(base_url=router.base_url, api_key="x", max_retries=0, timeout=60) as client:
                yield first, client


def test_a_killed_server_breaks_its_stream_and_the_other_one_serves_on(pair):
    first, client = pair
    stream = ask(client, "Write a very long story.", max_tokens=2000, stream=True)
    iterator = iter(stream)
    assert [next(iterator) for _ in range(3)]
    first.send(signal.SIGKILL)
    with pytest.raises(openai.APIError):
        list(iterator)
    for _ in range(3):
        raw = client.chat.completions.with_raw_response.create(
            model=NAME, messages=[{"role": "user", "content": "What is the capital of France?"}], max_tokens=16, **FIXED
        )
        assert raw.headers["x-atp-provider"] == "second"
        assert "Paris" in raw.parse().choices[0].message.content


def test_a_stopped_server_is_left_for_the_other_one(pair):
    first, client = pair
    stream = ask(client, "Write a very long story.", max_tokens=2000, stream=True)
    iterator = iter(stream)
    assert [next(iterator) for _ in range(3)]
    first.send(signal.SIGSTOP)
    started = time.monotonic()
    with pytest.raises(openai.APIError):
        list(iterator)
    assert 2 < time.monotonic() - started < 10
    # The first server takes connections and never answers; the second one is asked in its place.
    raw = client.chat.completions.with_raw_response.create(
        model=NAME, messages=[{"role": "user", "content": "What is the capital of France?"}], max_tokens=16, **FIXED
    )
    assert raw.headers["x-atp-provider"] == "second"
    assert "Paris" in raw.parse().choices[0].message.content
    first.send(signal.SIGCONT)
    assert ask(client, "Hello", max_tokens=4).choices[0].message.content


def test_json_of_the_model_list_names_it_first(routed):
    assert json.loads(stage.get(f"{routed.base_url}/models")[1])["data"][0]["id"] == NAME


class Cutter(http.server.ThreadingHTTPServer):
    """Stands in front of the model's server and cuts each stream after some events."""

    daemon_threads = True

    def __init__(self, behind: str, after: int):
        super().__init__(("127.0.0.1", 0), CutHandler)
        self.behind, self.after = behind, after
        self.base_url = f"http://127.0.0.1:{self.server_address[1]}/v1"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class CutHandler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {"content-type": "application/json"}
        with httpx.stream("POST", self.server.behind + "/chat/completions", content=body, headers=headers, timeout=60) as answer:
            self.send_response(answer.status_code)
            self.send_header("content-type", answer.headers["content-type"])
            self.send_header("content-length", "1000000")
            self.end_headers()
            for number, line in enumerate(line for line in answer.iter_lines() if line):
                if number == self.server.after:
                    return
                self.wfile.write(f"{line}\n\n".encode())
                self.wfile.flush()


@pytest.mark.parametrize("after", [2, 9, 20])
def test_a_stream_that_is_cut_is_gone_on_with(model, direct, tmp_path, after):
    ask = {"model": NAME, "messages": [{"role": "user", "content": "Count from one to ten in words."}], "max_tokens": 40}
    whole = direct.chat.completions.create(**ask, **FIXED).choices[0].message.content
    cutter = Cutter(model.base_url, after)
    providers = {"cut": {"kind": "openai", "base_url": cutter.base_url}, "next": {"kind": "openai", "base_url": model.base_url}}
    targets = [{"provider": name, "model": NAME, "prefill": True} for name in providers]
    with stage.running(stage.Router(tmp_path, providers, {NAME: {"targets": targets, "on_cut": "continue"}})) as router:
        through = openai.OpenAI(base_url=router.base_url, api_key="x", max_retries=0, timeout=60)
        chunks = list(through.chat.completions.create(**ask, **FIXED, stream=True, stream_options={"include_usage": True}))
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert router.metrics()['atp_streams_broken_total{way="continue"}'] == 1
    cutter.shutdown()
    assert len({chunk.id for chunk in chunks}) == 1
    # The model is asked for the likeliest token each time, so what it would have said it says.
    assert text == whole
    (usage,) = [chunk.usage for chunk in chunks if chunk.usage]
    assert usage.prompt_tokens + usage.completion_tokens == usage.total_tokens and usage.completion_tokens <= 40
