"""Answers that are shared while they are made, and kept when they are: on real sockets, through the OpenAI SDK."""

import asyncio
import time

import httpx
import openai
import pytest

import stage

SAME = {"temperature": 0, "messages": [{"role": "user", "content": "What is the capital of France?"}]}
KEYS = [
    {"name": name, "key": f"the-secret-of-{name}-0123456789", "tenant": tenant}
    for name, tenant in (("ann", "red"), ("bob", "red"), ("cat", "blue"))
]


@pytest.fixture(scope="module")
def router(folder, upstream):
    """Models that share, that keep, and that do both."""
    providers = {"up": stage.openai_provider(upstream.url)}
    cache = {"ttl": "2s", "max_bytes": "4MiB", "max_entry": "256KiB"}
    ways = {"share": {"coalesce": True}, "keep": {"cache": cache}, "both": {"coalesce": True, "cache": cache}}
    scripts = {"paced": "stream500-paced:5", "short": "stream100-paced:5", "slow": "slow-head:300", "broken": "reset-stream:3", "refused": "status-500", "embed": "embed3"}
    models = {
        f"{way}-{name}": {"targets": [{"provider": "up", "model": script, "breaker": {"failures": 0}}]} | more
        for way, more in ways.items()
        for name, script in scripts.items()
    }
    retry = {"max_attempts": 1}
    with stage.running(stage.Router(folder / "reuse", providers, models, keys=KEYS, retry=retry)) as process:
        yield process


def post(client: httpx.AsyncClient, router, model: str, key: str = "ann", stream: bool = False, headers: dict | None = None, **more):
    headers = {"authorization": f"Bearer the-secret-of-{key}-0123456789"} | (headers or {})
    body = {"model": model, "stream": stream} | SAME | more
    return client.post(f"{router.base_url}/chat/completions", json=body, headers=headers, timeout=30)


def told(answers) -> list:
    return sorted(answer.headers.get("x-atp-cache", "") for answer in answers)


@pytest.mark.parametrize(("model", "stream"), [("share-slow", False), ("share-short", True), ("both-short", True)])
async def test_who_asks_the_same_at_once_shares_one_call(router, seen, model, stream):
    async with httpx.AsyncClient() as client:
        answers = await asyncio.gather(*(post(client, router, model, key, stream) for key in ("ann", "bob") for _ in range(5)))
        assert [answer.status_code for answer in answers] == [200] * 10
        assert len({answer.content for answer in answers}) == 1, "the same bytes for all"
        assert told(answers) == [""] + ["coalesced"] * 9
        assert seen.stats()["requests_total"] == 1
        # Another tenant's request is another call, whatever the bytes.
        others = await asyncio.gather(*(post(client, router, model, key, stream, user=model) for key in ("ann", "cat")))
        assert told(others) == ["", ""]
        assert seen.stats()["requests_total"] == 3


async def test_the_first_may_leave_and_the_others_read_on(router, seen):
    async with httpx.AsyncClient() as first, httpx.AsyncClient() as second:
        leaving = asyncio.create_task(post(first, router, "share-paced", stream=True, user="leaves"))
        await asyncio.sleep(0.5)
        staying = asyncio.create_task(post(second, router, "share-paced", stream=True, user="leaves"))
        await asyncio.sleep(0.3)
        leaving.cancel()
        answer = await staying
        assert answer.headers["x-atp-cache"] == "coalesced"
        assert answer.text.count('"content"') >= 500 and answer.text.endswith("data: [DONE]\n\n")
    assert seen.stats()["requests_total"] == 1


async def test_when_all_leave_the_provider_is_left(router, seen):
    async with httpx.AsyncClient() as client:
        asked = [asyncio.create_task(post(client, router, "share-paced", stream=True, user="all leave")) for _ in range(3)]
        await asyncio.sleep(0.5)
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
    deadline = time.monotonic() + 5
    while seen.stats()["requests_left"] == 0:
        assert time.monotonic() < deadline, seen.stats()
        await asyncio.sleep(0.05)
    metrics = router.metrics()
    assert sum(value for name, value in metrics.items() if name.startswith("atp_in_flight")) == 0


@pytest.mark.parametrize("model", ["keep", "both"])
@pytest.mark.parametrize(("script", "stream"), [("slow", False), ("short", True)])
async def test_what_was_answered_is_given_again_for_a_while(router, seen, model, script, stream):
    name = f"{model}-{script}"
    async with httpx.AsyncClient() as client:
        first = await post(client, router, name, stream=stream)
        started = time.monotonic()
        again = await post(client, router, name, "bob", stream)
        assert time.monotonic() - started < 0.25, "at once, where the first one took its time"
        assert (first.content, told([first, again])) == (again.content, ["", "hit"])
        assert again.headers["content-type"] == first.headers["content-type"]
        assert again.headers["x-atp-cost-usd"] == "0.000000" and "x-atp-provider" not in again.headers
        assert seen.stats()["requests_total"] == 1
        fresh = [
            await post(client, router, name, "cat", stream),
            await post(client, router, name, stream=stream, headers={"x-atp-cache": "no-store"}),
            await post(client, router, name, stream=stream, headers={"cache-control": "no-cache"}),
            await post(client, router, name, stream=stream, temperature=0.5),
            await post(client, router, name, stream=stream, n=2),
        ]
        assert told(fresh) == [""] * 5 and seen.stats()["requests_total"] == 6
        await asyncio.sleep(2.1)
        assert told([await post(client, router, name, stream=stream)]) == [""]


async def test_no_error_is_kept_and_all_are_told(router, seen):
    async with httpx.AsyncClient() as client:
        for expected in (1, 2):
            answers = await asyncio.gather(*(post(client, router, "both-refused") for _ in range(3)))
            assert [answer.status_code for answer in answers] == [500] * 3
            assert seen.stats()["requests_total"] <= expected * 3
        for _ in range(2):
            answer = await post(client, router, "both-broken", stream=True)
            assert '"provider_cut"' in answer.text and "x-atp-cache" not in answer.headers


def test_embeddings_need_no_temperature(router, seen):
    with openai.OpenAI(base_url=router.base_url, api_key=KEYS[0]["key"], max_retries=0, timeout=30) as client:
        answers = [client.embeddings.with_raw_response.create(model="keep-embed", input=["a", "b", "c"]) for _ in range(2)]
    assert [answer.headers.get("x-atp-cache") for answer in answers] == [None, "hit"]
    assert answers[0].parse().data[2].embedding == answers[1].parse().data[2].embedding
    assert seen.stats()["requests_total"] == 1


def test_a_misspelt_wish_is_refused(router):
    answer = httpx.post(
        f"{router.base_url}/chat/completions",
        json={"model": "keep-slow"} | SAME,
        headers={"authorization": f"Bearer {KEYS[0]['key']}", "x-atp-cache": "nostore"},
    )
    assert answer.status_code == 400 and "no-store" in answer.json()["error"]["message"]
