"""A caller that leaves: the provider's work ends within 50 ms, and nothing stays borrowed."""

import asyncio
import time

import openai
import pytest

import stage

#: What the router promises, and how often a busy machine may be late before it counts as broken.
PROMISED_S, TRIES = 0.050, 5


def until(condition, seconds: float) -> float:
    """Waits for a condition; returns how long that took."""
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > seconds:
            raise AssertionError(f"not so within {seconds} s")
        time.sleep(0.001)
    return time.monotonic() - started


def leave_mid_stream(client, upstream) -> float:
    stream = client.chat.completions.create(
        model="stream500-paced:10", messages=[{"role": "user", "content": "Hello"}], stream=True
    )
    iterator = iter(stream)
    for _ in range(3):
        next(iterator)
    assert upstream.stats()["streams_open"] == 1
    stream.close()
    return until(lambda: upstream.stats()["streams_open"] == 0, 5)


def test_mid_stream(client, seen):
    waits = [leave_mid_stream(client, seen) for _ in range(TRIES)]
    assert min(waits) < PROMISED_S, waits
    assert seen.stats()["requests_left"] == TRIES


@pytest.mark.parametrize("stream", [False, True])
async def test_before_the_first_byte(async_client, seen, stream):
    waits = []
    for _ in range(TRIES):
        call = asyncio.create_task(
            async_client.chat.completions.create(
                model="hang-head", messages=[{"role": "user", "content": "Hello"}], stream=stream
            )
        )
        while seen.stats()["requests_open"] == 0:
            await asyncio.sleep(0.002)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        # The connection closes in the event loop's next rounds.
        await asyncio.sleep(0)
        waits.append(until(lambda: seen.stats()["requests_open"] == 0, 5))
    assert min(waits) < PROMISED_S, waits


async def test_while_a_stream_is_silent(async_client, seen):
    stream = await async_client.chat.completions.create(
        model="hang-stream:3", messages=[{"role": "user", "content": "Hello"}], stream=True
    )
    iterator = aiter(stream)
    for _ in range(3):
        await anext(iterator)
    await stream.close()
    assert until(lambda: seen.stats()["streams_open"] == 0, 5) < 5 * PROMISED_S


async def test_while_waiting_for_a_seat(folder):
    """The simulated provider serves one at a time here; who leaves its queue is not served any more."""
    model = {"capacity": 1, "time_to_first_token_ms": 600, "tokens_per_second": 1000}
    providers = {"sim": {"kind": "simulated", "simulated": {"models": {"one": model}}}}
    models = {"one": {"targets": [{"provider": "sim", "model": "one"}]}}
    with stage.running(stage.Router(folder / "queue", providers, models)) as router:
        async with openai.AsyncOpenAI(base_url=router.base_url, api_key="x", max_retries=0, timeout=30) as client:
            ask = {"model": "one", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 5}
            calls = [asyncio.create_task(client.chat.completions.create(**ask)) for _ in range(3)]
            await asyncio.sleep(0.2)
            assert router.metrics()["atp_in_flight"] == 3
            calls[1].cancel()
            await asyncio.sleep(0.05)
            assert router.metrics()["atp_in_flight"] == 2
            started = time.monotonic()
            served = await asyncio.gather(calls[0], calls[2])
            # Two seats' worth of waiting, not three.
            assert time.monotonic() - started < 1.6
            assert all(answer.choices[0].message.content for answer in served)


def test_after_all_that_nothing_is_held(router, client, seen):
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.2).chat.completions.create(
            model="hang-head", messages=[{"role": "user", "content": "Hello"}]
        )

    def held() -> dict[str, float]:
        return {name: value for name, value in router.metrics().items() if name in ("atp_in_flight", "atp_tasks") and value}

    assert {"atp_in_flight", "atp_tasks"} <= set(router.metrics())
    until(lambda: not held(), 5)
    assert seen.stats()["requests_open"] == 0
