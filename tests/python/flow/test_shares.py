"""Who gets how much: weights, classes, and a light tenant beside a heavy one."""

import asyncio
import json
import time

import pytest

import far
import stage

#: A model that serves any number of requests at once, each in about 60 ms, of 40 tokens.
STEADY = {"time_to_first_token_ms": {"constant": 20}, "tokens_per_second": {"constant": 1000}, "output_tokens": {"constant": 40}}
#: One whose answers take about 300 ms.
SLOW = STEADY | {"tokens_per_second": {"constant": 140}}


@pytest.fixture(scope="module")
def router(folder):
    providers = {"sim": {"kind": "simulated", "simulated": {"models": {"steady": STEADY, "slow": SLOW}}}}
    models = {
        "steady": {"targets": [{"provider": "sim", "model": "steady", "window": {"min": 4, "start": 4, "max": 4}}]},
        "slow": {"targets": [{"provider": "sim", "model": "slow", "window": {"min": 8, "start": 8, "max": 9}}]},
    }
    keys = [
        far.key("three", tenant="three", weight=3),
        far.key("one", tenant="one"),
        far.key("heavy", tenant="heavy"),
        far.key("light", tenant="light"),
    ]
    with far.keyed(folder, "shares", providers, models, keys) as process:
        yield process


async def served(router) -> dict[str, int]:
    _, told = await asyncio.to_thread(far.admin, router, "/admin/fair/served")
    return {row["tenant"]: row["served"] for row in told["served"]}


async def ratio(router, seconds: float) -> float:
    """Tokens of `three` for each of `one`, from now on."""
    before = await served(router)
    await asyncio.sleep(seconds)
    after = await served(router)
    return (after["three"] - before["three"]) / (after["one"] - before["one"])


async def test_tokens_follow_the_weights_and_a_change_of_them(router):
    async with (
        far.Backlog(router, "steady", 12, far.bearer("three")) as three,
        far.Backlog(router, "steady", 12, far.bearer("one")) as one,
    ):
        await far.until(lambda: far.waiting(router), "a backlog")
        await asyncio.sleep(0.5)
        assert 2.6 < await ratio(router, 3) < 3.4
        jain = (await far.flow(router))["jain"]
        assert jain > 0.97, jain
        status, told = far.admin(router, "/admin/fair/weight?tenant=three&weight=1", "POST")
        assert (status, told) == (200, {"tenant": "three", "before": 3.0, "after": 1.0})
        await asyncio.sleep(0.3)
        assert 0.8 < await ratio(router, 2) < 1.25
        assert set(three.answers) == set(one.answers) == {200}
    assert "a tenant's weight was changed" in router.tail(200)
    far.admin(router, "/admin/fair/weight?tenant=three&weight=3", "POST")


async def first_answers(router, count: int) -> list[float]:
    """How long the light tenant waits for the head of each of so many answers, one after the other."""
    times = []
    for _ in range(count):
        started = time.monotonic()
        status, _, _ = await far.ask(router, "slow", far.bearer("light"))
        assert status == 200
        times.append(time.monotonic() - started)
    return times


async def test_a_heavy_neighbour_hardly_slows_a_light_tenant(router):
    async with far.Backlog(router, "slow", 60, far.bearer("heavy")) as heavy:
        await far.until(lambda: far.waiting(router), "a backlog")
        await asyncio.sleep(0.5)
        beside = sorted(await first_answers(router, 7))
    # First come, first served, both would wait for 60 requests, eight or nine at a time: two seconds. But the light one's
    # turn is the next that becomes free, after a ninth of 300 ms on average.
    late = sorted(heavy.times)[len(heavy.times) * 3 // 4]
    assert late > 1.5
    assert beside[3] < late / 3, (beside, late)
    assert beside[-1] < late / 1.5, (beside, late)


async def test_a_reload_gives_a_tenant_the_weight_of_the_file(router):
    before = await served(router)
    config = json.loads(router.config.read_text())
    config["keys"][0]["weight"] = 7
    fresh = router.config.with_suffix(".new")
    fresh.write_text(json.dumps(config))
    fresh.rename(router.config)

    async def heavier():
        _, told = await asyncio.to_thread(far.admin, router, "/admin/fair/weights")
        return told["weights"][0] == {"tenant": "three", "session": "three", "weight": 7.0, "configured": 7.0}

    await far.until(heavier, "the weight of the file")
    after = await served(router)
    # What was counted stays counted.
    assert all(after[tenant] >= before[tenant] for tenant in before)
    assert before["heavy"] > 0


async def test_afterwards_nothing_is_held(router):
    async def empty():
        told = await far.flow(router)
        lanes = sum(lane["in_flight"] for lane in told["lanes"])
        return lanes == 0 and await far.waiting(router) == 0 and all(row["in_flight"] == 0 for row in told["tenants"])

    await far.until(empty, "every slot back")
