"""Waiting for a turn: full queues, long waits, callers who leave, classes that give way."""

import asyncio
import time

import pytest

import far
import stage
import wire

ONE = {"min": 1, "start": 1, "max": 1}


@pytest.fixture
async def provider():
    async with far.Provider().listening() as provider:
        yield provider


@pytest.fixture
async def router(tmp_path, provider):
    up = stage.openai_provider(provider.url)
    target = {"provider": "up", "model": "m", "window": ONE}
    models = {
        "short": {"targets": [target], "queue": {"max_waiting": 2, "max_wait": "20s"}},
        "none": {"targets": [target], "queue": {"max_waiting": 0}},
        "long": {"targets": [target]},
        "brief": {"targets": [target], "queue": {"max_wait": "300ms"}},
    }
    keys = [far.key("gold", qos="gold"), far.key("silver"), far.key("bronze", qos="bronze")]
    router = await asyncio.to_thread(stage.Router, tmp_path, {"up": up}, models, keys=keys, drain=far.AT_ONCE)
    with stage.running(router):
        yield router
        provider.release()


async def begin(router, provider, model: str, fields: str) -> asyncio.Task:
    """A request that the provider holds back."""
    asked = provider.asked
    task = asyncio.create_task(far.ask(router, model, fields))

    async def there():
        return provider.asked > asked

    await far.until(there, "the provider is asked")
    return task


async def queue_up(router, model: str, count: int, fields: str) -> list[asyncio.Task]:
    before = await far.waiting(router)
    tasks = [asyncio.create_task(far.ask(router, model, fields)) for _ in range(count)]

    async def all_wait():
        return await far.waiting(router) == before + count

    await far.until(all_wait, f"{count} more wait")
    return tasks


async def test_a_full_queue_refuses_with_an_honest_pause(router, provider):
    provider.hold()
    held = await begin(router, provider, "short", far.bearer("silver"))
    queued = await queue_up(router, "short", 2, far.bearer("silver"))
    started = time.monotonic()
    status, fields, body = await far.ask(router, "short", far.bearer("silver"))
    assert (status, fields["x-atp-error"]) == (429, "backpressure"), body
    assert int(fields["retry-after"]) >= 1
    assert time.monotonic() - started < 1
    # Another class has a queue of its own.
    (bronze,) = await queue_up(router, "short", 1, far.bearer("bronze"))
    provider.release()
    assert [(await task)[0] for task in (held, *queued, bronze)] == [200] * 4
    assert provider.most == 1
    assert far.sample(router, "fair_sched_dropped_total", model="short") == 1


async def test_no_queue_and_a_short_wait_refuse_too(router, provider):
    provider.hold()
    held = await begin(router, provider, "short", far.bearer("silver"))
    for model, least, most in (("none", 0.0, 0.25), ("brief", 0.28, 1.5)):
        started = time.monotonic()
        status, fields, body = await far.ask(router, model, far.bearer("silver"))
        assert (status, fields["x-atp-error"]) == (429, "backpressure"), body
        assert least <= time.monotonic() - started < most, model
    provider.release()
    assert (await held)[0] == 200


async def test_who_leaves_the_queue_leaves_nothing_behind(router, provider):
    provider.hold()
    held = await begin(router, provider, "short", far.bearer("silver"))
    (leaver,) = await queue_up(router, "short", 1, far.bearer("silver"))
    leaver.cancel()

    async def nobody():
        return await far.waiting(router) == 0

    await far.until(nobody, "the queue is empty")
    assert far.sample(router, "fair_sched_queue_depth", model="short") == 0
    (stayer,) = await queue_up(router, "short", 1, far.bearer("silver"))
    provider.release()
    assert [(await held)[0], (await stayer)[0]] == [200, 200]
    assert provider.asked == 2


async def test_gold_takes_the_turn_of_bronze_which_comes_again(router, provider):
    provider.hold()
    bronze = await begin(router, provider, "short", far.bearer("bronze"))
    gold = await begin(router, provider, "short", far.bearer("gold"))

    async def bronze_is_gone():
        return provider.left == 1

    await far.until(bronze_is_gone, "the provider sees bronze leave")
    assert (provider.asked, provider.open) == (2, 1)
    provider.release()
    assert [(await gold)[0], (await bronze)[0]] == [200, 200]
    assert provider.asked == 3
    assert far.sample(router, "preemptions_total") == 1


async def test_a_request_may_lower_its_class_but_not_raise_it(router, provider):
    cases = [
        ({"x_atp_qos": "bronze"}, 200, None),
        ({"x_atp_qos": "gold"}, 403, "permission_denied"),
        ({"x_atp_qos": "platinum"}, 400, "invalid_request"),
        ({"x_atp_session": "chat-7"}, 200, None),
        ({"x_atp_session": "x" * 129}, 400, "invalid_request"),
    ]
    for more, expected, code in cases:
        status, fields, body = await far.ask(router, "short", far.bearer("silver", **more))
        assert (status, fields.get("x-atp-error")) == (expected, code), (more, body)
    assert provider.asked == 2


async def test_sessions_of_one_tenant_take_turns(router, provider):
    """A session with a long queue does not stand before another of the same tenant."""
    provider.hold()
    held = await begin(router, provider, "long", far.bearer("silver", x_atp_session="busy"))
    order = []

    async def one(session: str):
        status, _, _ = await far.ask(router, "long", far.bearer("silver", x_atp_session=session))
        order.append((session, status))

    tasks = []
    for place, session in enumerate(("busy", "busy", "busy", "busy", "quiet"), 1):
        tasks.append(asyncio.create_task(one(session)))

        async def so_many(place=place):
            return await far.waiting(router) == place

        await far.until(so_many, f"{place} wait")
    provider.delay = 0.05
    provider.release()
    await asyncio.gather(held, *tasks)
    assert ("quiet", 200) in order[:2], order


async def test_a_stream_waits_for_its_turn_too(router, provider):
    provider.hold()
    held = await begin(router, provider, "short", far.bearer("silver"))
    connection = wire.Connection(router.port)
    stream = asyncio.create_task(connection.post("/v1/chat/completions", wire.chat("short", stream=True), far.bearer("silver")))
    await far.until(lambda: far.waiting(router), "it waits")
    stream.cancel()
    await asyncio.gather(stream, return_exceptions=True)
    await connection.close()

    async def nobody():
        return await far.waiting(router) == 0

    await far.until(nobody, "the queue is empty")
    provider.release()
    assert (await held)[0] == 200
