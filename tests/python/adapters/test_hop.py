"""One adapter behind the door, asked through the router: over TCP, over a Unix socket, and over TLS."""

import asyncio
import hashlib
import json
import types
import urllib.request

import openai
import pytest

import stage
from adapting import AT_ONCE, Adapter, chat, post


@pytest.fixture(scope="module", params=["tcp", "unix"])
def router(request, tmp_path_factory, upstream):
    folder = tmp_path_factory.mktemp(request.param)
    far = None if request.param == "tcp" else f"unix:{folder}/a.sock"
    own = None if request.param == "tcp" else f"unix:{folder}/b.sock"
    upstream_fields = {"base_url": f"{upstream.url}/v1", "api_key": "upstream-secret"}
    with (
        stage.running(Adapter(folder, listen=far)) as sim,
        stage.running(Adapter(folder, kind="openai", listen=own, fields=upstream_fields, log="openai")) as scripted,
    ):
        providers = {
            "sim": {"kind": "grpc", "endpoint": sim.endpoint},
            "up": {"kind": "grpc", "endpoint": scripted.endpoint, "timeouts": {"first_byte": "2s", "idle": "2s"}},
        }
        models = {"quick": {"targets": [{"provider": "sim"}]}, "slow": {"targets": [{"provider": "sim"}]}} | stage.scripted()
        retry = {"max_attempts": 1}
        with stage.running(stage.Router(folder / "router", providers, models, drain=AT_ONCE, retry=retry)) as process:
            yield process


@pytest.fixture(scope="module")
def client(router):
    with openai.OpenAI(base_url=router.base_url, api_key="none-needed", max_retries=0, timeout=30) as client:
        yield client


def test_an_answer_is_the_providers_byte_for_byte(router, upstream):
    status, headers, answer = post(router, chat("tools:2"))
    direct = post(types.SimpleNamespace(base_url=f"{upstream.url}/v1"), chat("tools:2"))[2]
    assert status == 200 and answer == direct
    assert headers["x-atp-provider"] == "up"


def test_the_callers_bytes_reach_the_provider(router, seen):
    body = '{"model":"fast", "messages": [ {"role":"user","content":"\\u00e9 \\ud83d\\ude00"} ],\n "unheard_of": [1.50, {"x": null}]}'
    headers = {"content-type": "application/json", "openai-beta": "assistants=v2"}
    urllib.request.urlopen(urllib.request.Request(f"{router.base_url}/chat/completions", body.encode(), headers), timeout=20).read()
    request = seen.requests()[-1]
    assert request["body"] == body
    told = dict(request["headers"])
    assert told["authorization"] == "Bearer upstream-secret"
    assert told["openai-beta"] == "assistants=v2"


def test_streams_tools_and_vectors_pass(client, user):
    said = [chunk.choices[0].delta.content or "" for chunk in client.chat.completions.create(model="stream8", stream=True, messages=user("x"))]
    assert len([word for word in said if word]) == 8
    called = client.chat.completions.create(model="tools:2", messages=user("x"))
    assert len(called.choices[0].message.tool_calls) == 2
    vectors = client.embeddings.create(model="embed3", input=["a", "b", "c"])
    assert len(vectors.data) == 3


def test_usage_of_a_stream_is_in_the_books_and_not_in_the_stream(router, client, user):
    before = router.metrics()
    chunks = list(client.chat.completions.create(model="quick", stream=True, messages=user("x"), max_tokens=7))
    assert all(chunk.usage is None for chunk in chunks)
    after = router.metrics()
    grown = {name for name in after if "tokens" in name and "sim" in name and after[name] > before.get(name, 0)}
    assert grown


@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("status-400", openai.BadRequestError),
        ("status-401", openai.APIStatusError),
        ("status-404", openai.NotFoundError),
        ("status-429", openai.RateLimitError),
        ("status-500", openai.InternalServerError),
        ("hang-head", openai.APIStatusError),
        ("cut-body", openai.APIStatusError),
    ],
)
def test_errors_are_what_they_would_be_without_the_hop(client, user, model, error):
    with pytest.raises(error):
        client.chat.completions.create(model=model, messages=user("x"))


def test_a_stream_that_breaks_off_raises(client, user):
    for model in ("reset-stream:3", "hang-stream:3", "error-in-200:3"):
        with pytest.raises(openai.APIError):
            list(client.chat.completions.create(model=model, stream=True, messages=user("x")))


async def test_a_caller_who_leaves_ends_the_providers_work(router, upstream):
    async with openai.AsyncOpenAI(base_url=router.base_url, api_key="x", max_retries=0) as client:
        for model, stream in (("hang-head", False), ("stream500-paced:10", True)):
            upstream.reset()
            call = client.chat.completions.create(model=model, stream=stream, messages=[{"role": "user", "content": "x"}])
            if stream:
                answer = await call
                await anext(aiter(answer))
                await answer.close()
            else:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(call, 0.3)
            for _ in range(100):
                if upstream.stats()["requests_left"] >= 1:
                    break
                await asyncio.sleep(0.01)
            assert upstream.stats()["requests_left"] >= 1, (model, upstream.stats())


def test_a_long_prompt_passes_in_several_messages(router, seen):
    body = json.dumps({"model": "fast", "messages": [{"role": "user", "content": "word " * 600_000}]}).encode()
    request = urllib.request.Request(f"{router.base_url}/chat/completions", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200
    assert seen.requests()[-1]["body_sha256"] == hashlib.sha256(body).hexdigest()


def test_an_upload_passes_while_it_arrives(client, seen):
    for size in (100, 3_000_000):
        client.audio.transcriptions.create(model="fast", file=("a.wav", b"\0" * size))
        assert seen.requests()[-1]["body_bytes"] > size
