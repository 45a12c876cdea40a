"""What changes under the router: slow calls, capacity that halves and comes back, providers that all fail.

The laboratory measures how well this goes (docs/flow-control.md). Here it is shown to work on real sockets, with
margins that a busy machine does not use up.
"""

import asyncio
import time

import pytest

import far
import stage


@pytest.fixture
async def two():
    async with far.Provider().listening() as first, far.Provider().listening() as second:
        yield first, second


def up(folder, providers, models: dict, **more):
    named = {name: stage.openai_provider(provider.url) for name, provider in zip(("first", "second"), providers, strict=False)}
    return stage.running(stage.Router(folder, named, models, drain=far.AT_ONCE, **more))


async def answers(router, model: str, count: int, callers: int = 12) -> list[float]:
    """The times of so many answers, sorted."""
    async with far.Backlog(router, model, callers, stream=True) as backlog:

        async def enough():
            return len(backlog.times) >= count

        await far.until(enough, f"{count} answers of {model}", 60)
        assert set(backlog.answers) == {200}
        return sorted(backlog.times[:count])


async def test_hedging_halves_the_tail_of_slow_calls(tmp_path, two):
    count, both = 500, [{"provider": name, "model": "m"} for name in ("first", "second")]
    models = {"plain": {"targets": both}, "hedged": {"targets": both, "hedge": {"extra": "5%"}}}
    for provider in two:
        provider.delay = 0.1
    with up(tmp_path, two, models) as router:
        # What a lane usually takes has to be known before anybody can be late.
        await answers(router, "hedged", 80)
        for provider in two:
            provider.late = (40, 1.2)
        plain = await answers(router, "plain", count)
        asked = sum(provider.asked for provider in two)
        won = far.sample(router, "atp_hedges_total", outcome="won")
        hedged = await answers(router, "hedged", count)
        extra = sum(far.sample(router, "atp_hedges_total", outcome=outcome) for outcome in ("won", "lost", "failed")) - won
        asked = sum(provider.asked for provider in two) - asked
    late = int(count * 0.99)
    assert plain[late] >= 1.2 and hedged[late] <= plain[late] / 2, (plain[late], hedged[late])
    # One call in forty is late. Those under way at the end are asked and not counted.
    assert extra <= count * 0.08 and asked <= count * 1.1 + 12, (extra, asked)


class Watch:
    """What a provider with slots has served and refused over some seconds, in shares of what it could."""

    def __init__(self, provider):
        self.provider = provider

    async def over(self, seconds: float) -> tuple[float, float]:
        started, served, refused = time.monotonic(), self.provider.served, self.provider.refused
        await asyncio.sleep(seconds)
        served, refused = self.provider.served - served, self.provider.refused - refused
        room = (time.monotonic() - started) * self.provider.slots / self.provider.delay
        return served / room, refused / max(served + refused, 1)


async def test_capacity_that_halves_and_comes_back_is_found_again(tmp_path, two):
    provider = two[0]
    provider.delay, provider.slots, provider.line = 0.25, 16, 8
    models = {"m": {"targets": [{"provider": "first", "model": "m"}]}}
    watch, found = Watch(provider), []
    with up(tmp_path, [provider], models) as router:
        async with far.Backlog(router, "m", 40, stream=True):
            for slots, settling in ((16, 6), (8, 10), (16, 14)):
                provider.slots = slots
                async with provider.freed:
                    provider.freed.notify_all()
                await asyncio.sleep(settling)
                found.append((slots, *await watch.over(5)))
    for slots, goodput, refused in found:
        assert goodput >= 0.6 and refused <= 0.1, (slots, found)


#: Retries that are allowed in the first ten seconds, before there are requests to take a tenth of.
FLOOR = 30


@pytest.mark.parametrize("status", [500, 503])
async def test_a_total_outage_is_not_amplified_and_ends(tmp_path, two, status):
    for provider in two:
        provider.status = status
    both = [{"provider": name, "model": "m"} for name in ("first", "second")]
    models = {"m": {"targets": both}}
    with up(tmp_path, two, models) as router:
        async with far.Backlog(router, "m", 16) as backlog:

            async def enough():
                return sum(backlog.answers.values()) >= 600

            await far.until(enough, "600 refusals", 60)
            requests, asked = sum(backlog.answers.values()), sum(provider.asked for provider in two)
            # Who fails is soon left alone; who says that he is overloaded is asked on, within the budget of retries.
            most = 1.1 * requests + (FLOOR if status == 503 else 0)
            assert set(backlog.answers) <= {500, 502, 503} and asked <= most, (backlog.answers, asked)
            for provider in two:
                provider.status, provider.delay, provider.most = 200, 0.1, 0

            async def served():
                return backlog.answers.get(200, 0) >= 50

            await far.until(served, "the outage is over", 45)
