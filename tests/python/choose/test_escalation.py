"""Another model is asked: on silence, refusal and failure. The caller sees one answer and pays for what was used."""

import asyncio

import pytest

import arms
import stage

#: 10 tokens of input and 20 of output: at $1 and $4, and at $5 and $20 a million.
MIDDLE, LARGE = 90e-6, 450e-6
REFUSAL = "I'm sorry, but I can't help with that."


async def test_a_model_that_does_not_begin_gets_company_and_is_left(provider, acme):
    provider.arms["middle"].delay = 15.0
    status, _, (_, *messages, last) = await acme.ask(latency_slo_ms=1900, quality="balanced")
    assert (status, last["model_used"], last["escalation_count"]) == (200, "large", 1), last
    assert messages[0] == {"type": "event", "event": "escalate", "model": "large", "reason": "latency"}
    # The other is asked at 0.6 of the latency, beside the first.
    assert 1100 <= last["latency_ms"] < 6000, last["latency_ms"]
    for _ in range(100):
        if provider.arms["middle"].left:
            break
        await asyncio.sleep(0.02)
    assert (provider.arms["middle"].left, provider.asked()) == (1, {"small": 0, "middle": 1, "large": 1})


async def test_the_first_wins_where_it_begins_in_time(provider, acme):
    provider.arms["middle"].delay = 0.3
    status, _, (_, *_, last) = await acme.ask(latency_slo_ms=1900, quality="balanced")
    assert (status, last["model_used"], last["escalation_count"]) == (200, "middle", 0)
    assert provider.asked()["large"] == 0


async def test_a_refusal_is_asked_of_another_once_and_both_are_paid_for(router, provider, acme):
    provider.arms["middle"].text = REFUSAL
    status, head, [whole] = await acme.ask(stream=False, quality="balanced")
    assert (status, whole["model_used"], whole["text"]) == (200, "large", "Large said."), whole
    assert whole["events"] == [{"type": "event", "event": "escalate", "model": "large", "reason": "refusal"}]
    assert whole["escalation_count"] == 1 and whole["cost_usd"] == pytest.approx(MIDDLE + LARGE)
    assert whole["savings_pct"] == pytest.approx(-20.0)
    told = await arms.decision(router, head["x-atp-plan"], arms.bearer("acme"))
    assert (told["result"]["escalation_count"], told["result"]["cost_usd"]) == (1, pytest.approx(MIDDLE + LARGE))
    row = await arms.row(router, head["x-atp-plan"])
    assert (row["chosen"], row["attempts"]) == ("large", 2), row


async def test_two_refusals_are_an_answer(provider, acme):
    provider.arms["middle"].text = provider.arms["large"].text = REFUSAL
    status, _, [whole] = await acme.ask(stream=False, quality="balanced")
    assert (status, whole["text"], whole["escalation_count"]) == (200, REFUSAL, 1)
    assert provider.asked() == {"small": 0, "middle": 1, "large": 1}


async def test_a_stream_goes_on_once_it_has_begun_unless_streams_are_held(tmp_path, provider):
    provider.arms["middle"].text = REFUSAL
    facts = {"small": arms.SMALL, "middle": arms.MIDDLE, "large": arms.LARGE}
    for hold, model in ((False, "middle"), (True, "large")):
        route = {"candidates": list(facts), "strategy": "cheapest", "escalation": {"hold_streams": hold}}
        router = await asyncio.to_thread(arms.router, tmp_path / str(hold), provider.url, facts, routes={"auto": route})
        with stage.running(router):
            async with arms.calling(router.port) as caller:
                status, _, messages = await caller.ask(quality="balanced")
                assert (status, messages[-1]["model_used"]) == (200, model), messages[-1]
