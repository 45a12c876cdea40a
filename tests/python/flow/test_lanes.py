"""What a lane carries: windows that follow the provider, breakers that leave it alone and come back."""

import asyncio

import pytest

import far
import stage


@pytest.fixture
async def provider():
    async with far.Provider().listening() as provider:
        yield provider


@pytest.fixture
async def router(tmp_path, provider, upstream):
    providers = {
        "first": stage.openai_provider(provider.url),
        "second": stage.openai_provider(upstream.url),
    }
    first = {"provider": "first", "model": "m", "window": {"start": 16, "max": 64}}
    moody = {"provider": "first", "model": "moody", "breaker": {"failures": 5, "rest": "400ms", "max_rest": "400ms"}}
    models = {
        "alone": {"targets": [first]},
        "moved": {"targets": [moody, {"provider": "second", "model": "fast"}]},
        "only": {"targets": [moody]},
    }
    router = await asyncio.to_thread(stage.Router, tmp_path, providers, models, retry={"max_attempts": 2}, drain=far.AT_ONCE)
    with stage.running(router):
        yield router
        provider.release()


async def test_a_window_shrinks_in_a_storm_and_grows_again(router, provider):
    provider.delay = 0.03
    assert (await far.lane(router, "first/m"))["limit"] == 16
    provider.capacity = 3
    async with far.Backlog(router, "alone", 24) as backlog:

        async def small():
            lane = await far.lane(router, "first/m")
            return lane["cuts"] >= 2 and lane["limit"] <= 8 and lane

        cut = await far.until(small, "the window is cut")
        assert cut["min"] <= cut["limit"]
        provider.capacity = None

        async def large():
            return (await far.lane(router, "first/m"))["limit"] >= cut["limit"] + 2

        await far.until(large, "the window grows", 20)
        # It is not the storm that teaches: most callers never saw it.
        assert backlog.answers[200] > 4 * backlog.answers.get(429, 0)
    assert far.sample(router, "flow_window_adjustments_total", provider="first", model="m") >= 3
    assert far.sample(router, "flow_window_cap", provider="first", model="m") == 64


async def state(router) -> str:
    _, told = await asyncio.to_thread(far.admin, router, "/admin/breakers")
    return next(row["state"] for row in told["breakers"] if row["lane"] == "first/moody")


async def test_a_breaker_opens_traffic_moves_and_comes_back(router, provider):
    provider.status = 500
    for _ in range(5):
        status, fields, _ = await far.ask(router, "moved")
        assert (status, fields["x-atp-provider"], fields["x-atp-attempts"]) == (200, "second", "2")
    assert await state(router) == "ejected"
    assert far.sample(router, "circuits_open") == 1
    asked = provider.asked
    assert asked == 5
    for _ in range(5):
        status, fields, _ = await far.ask(router, "moved")
        assert (status, fields["x-atp-provider"], fields["x-atp-attempts"]) == (200, "second", "1")
    assert provider.asked == asked
    provider.status = 200

    async def back():
        status, fields, _ = await far.ask(router, "moved")
        assert status == 200
        return fields["x-atp-provider"] == "first" and await state(router) == "serving"

    await far.until(back, "the first serves again")
    assert far.sample(router, "circuits_open") == 0


async def test_nobody_waits_for_a_lane_that_is_left_alone(router, provider):
    provider.status = 500
    while await state(router) != "ejected":
        # The one that is under way when it is left alone has nobody else to ask.
        assert (await far.ask(router, "only"))[0] in (500, 503)
    assert provider.asked == 5
    status, fields, _ = await far.ask(router, "only")
    assert (status, fields["x-atp-error"]) == (503, "no_models_available")
    assert int(fields["retry-after"]) >= 1


async def test_a_reload_moves_the_bounds_and_keeps_the_state(router, provider):
    provider.delay = 0.02
    async with far.Backlog(router, "alone", 20):

        async def busy():
            return (await far.lane(router, "first/m"))["in_flight"] >= 8

        await far.until(busy, "the lane is busy")
        before = next(pool["granted"] for pool in (await far.flow(router))["pools"] if pool["model"] == "alone")
        target = ["models", "alone", "targets"]

        def lower(config):
            config[target[0]][target[1]][target[2]][0]["window"] = {"max": 3}
            config["models"]["alone"]["queue"] = {"max_waiting": 50}

        stage.rewrite(router, lower)

        async def lowered():
            lane = await far.lane(router, "first/m")
            return lane["max"] == 3 and lane["limit"] <= 3 and lane["in_flight"] <= 3

        await far.until(lowered, "the new bound holds")
        pool = next(pool for pool in (await far.flow(router))["pools"] if pool["model"] == "alone")
        assert pool["max_waiting"] == 50 and pool["granted"] > before
        # As many as may be there at once, seen from the other side too.
        provider.most = 0
        await asyncio.sleep(0.3)
        assert 1 <= provider.most <= 3
