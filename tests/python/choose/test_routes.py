"""Routes: `auto` by the unmodified SDK, floors, ceilings, latencies, scopes, sessions, escalation, and choices that explain themselves."""

import asyncio
import json

import openai
import pytest

import arms
import stage

HI = [{"role": "user", "content": "Hi"}]


async def chosen(caller, model: str = "auto", **headers: str) -> str:
    status, head, body = await caller.chat(model, **headers)
    assert status == 200, body
    return head["x-atp-chosen-model"]


@pytest.fixture
async def sdk(router):
    async with openai.AsyncOpenAI(base_url=router.base_url, api_key=arms.secret("acme"), max_retries=0, timeout=30) as client:
        yield client


async def test_auto_is_a_model_to_the_sdk(sdk, provider):
    answer = await sdk.chat.completions.with_raw_response.create(model="auto", messages=HI)
    assert answer.parse().choices[0].message.content == "Middle said."
    assert (answer.headers["x-atp-chosen-model"], answer.headers["x-atp-model"]) == ("middle", "middle")
    high = await sdk.chat.completions.create(model="auto:high", messages=HI)
    assert high.choices[0].message.content == "Large said."
    pieces = [chunk.choices[0].delta.content or "" async for chunk in await sdk.chat.completions.create(model="auto:fast", messages=HI, stream=True)]
    assert "".join(pieces) == "Small said."
    assert provider.asked() == {"small": 1, "middle": 1, "large": 1}
    assert [body["model"] for arm in provider.arms.values() for body in arm.bodies] == ["small", "middle", "large"]


async def test_auto_is_there_without_being_configured_and_is_not_listed(tmp_path):
    names = ("sim-fast", "sim-balanced", "sim-high")
    sims = {name: {"targets": [{"provider": "sim", "model": name}]} for name in names}
    router = await asyncio.to_thread(stage.Router, tmp_path / "sim", {"sim": {"kind": "simulated"}}, sims, drain=arms.AT_ONCE)
    with stage.running(router):
        async with openai.AsyncOpenAI(base_url=router.base_url, api_key="x", max_retries=0, timeout=30) as sdk:
            answer = await sdk.chat.completions.with_raw_response.create(model="auto", messages=HI)
            assert answer.headers["x-atp-plan"] == answer.headers["x-request-id"]
            assert answer.headers["x-atp-chosen-model"] in names and answer.parse().choices[0].message.content
            assert [model.id async for model in sdk.models.list()] == list(names)


async def test_a_floor_changes_the_choice(acme):
    for quality, model in (("fast", "small"), ("balanced", "middle"), ("high", "large")):
        assert await chosen(acme, x_atp_quality=quality) == model
        assert await chosen(acme, f"auto:{quality}") == model
    # What the request says goes before what the name says no more than it contradicts it: both are told alike.
    status, head, body = await acme.chat(x_atp_quality="best")
    assert (status, head["x-atp-error"]) == (422, "validation_error"), body


async def test_a_ceiling_drops_who_may_cost_more(acme):
    body = {"model": "auto:high", "messages": HI, "max_tokens": 1000}
    status, head, _ = await acme.post("/v1/chat/completions", body, x_atp_max_cost_usd="1")
    assert (status, head["x-atp-chosen-model"]) == (200, "large")
    # A thousand tokens of large cost two cents: nobody of that quality is cheaper, and a ceiling is a ceiling.
    _, planned = await acme.told("/v1/plan", body, x_atp_max_cost_usd="0.005")
    if "candidates" in planned:
        large = next(candidate for candidate in planned["candidates"] if candidate["model"] == "large")
        assert large["dropped"] in ("cost", "quality") and planned["selected_model"] != "large"
    status, head, body = await acme.post("/v1/chat/completions", body, x_atp_max_cost_usd="0.000001")
    assert (status, head["x-atp-error"]) == (429, "budget_denied"), body
    error = json.loads(body)["error"]
    assert (error["code"], head["x-should-retry"]) == ("insufficient_quota", "false")


async def test_a_latency_leaves_out_who_is_slower(acme):
    assert await chosen(acme, "auto:high", x_atp_latency_slo_ms="5000") == "large"
    _, planned = await acme.told("/v1/plan", {"prompt": "Hi", "quality": "fast", "latency_slo_ms": 1000})
    dropped = {candidate["model"]: candidate["dropped"] for candidate in planned["candidates"]}
    assert dropped == {"small": None, "middle": None, "large": "latency"}
    # Nobody is good enough and soon enough: the best of those who are soon enough.
    assert await chosen(acme, "auto:high", x_atp_latency_slo_ms="1000") == "middle"


async def test_a_choice_explains_itself_to_its_own_tenant_alone(router, acme):
    status, head, _ = await acme.chat("auto:high")
    plan = head["x-atp-plan"]
    assert status == 200 and plan == head["x-request-id"]
    told = await arms.decision(router, plan, arms.bearer("acme"))
    assert (told["id"], told["tenant"], told["plan"]["selected_model"], told["score"]) == (plan, "acme", "large", None)
    result = told["result"]
    assert (result["model_used"], result["outcome"], result["escalation_count"]) == ("large", "served", 0)
    assert (result["tokens_in"], result["tokens_out"], result["cost_usd"]) == (10, 20, pytest.approx(450e-6))
    small, _, large = told["plan"]["candidates"]
    assert (small["dropped"], small["terms"]) == ("quality", None)
    assert large["dropped"] is None and 0 <= large["terms"]["score"] <= 1
    assert sum(each["terms"]["probability"] for each in told["plan"]["candidates"] if each["terms"]) == pytest.approx(1.0)
    for headers in (arms.bearer("other"), arms.bearer("acme") | {"authorization": "Bearer nobody"}):
        status, error = arms.read(router, f"/v1/decisions/{plan}", headers)
        assert (status, error["error"]) in ((404, "not_found"), (401, "authentication_failed")), error
    assert arms.read(router, "/v1/decisions/req_0", arms.bearer("acme"))[0] == 404


async def test_nobody_scores_the_answers_of_another_tenant(router, acme):
    _, head, _ = await acme.chat()
    async with arms.calling(router.port, arms.bearer("other")) as other:
        status, told = await other.told("/v1/feedback", {"request_id": head["x-atp-plan"], "score": 0})
        assert (status, told["error"]) == (404, "not_found")
    status, told = await acme.told("/v1/feedback", {"request_id": head["x-atp-plan"], "score": 0.25})
    assert (status, told["status"]) == (200, "ok")
    assert (await arms.decision(router, head["x-atp-plan"], arms.bearer("acme")))["score"] == 0.25


async def test_an_observation_is_of_the_model_that_answered(router, acme):
    _, head, _ = await acme.chat()
    plan = head["x-atp-plan"]
    await arms.decision(router, plan, arms.bearer("acme"))
    told = {"request_id": plan, "model": "middle", "latency_ms": 12.5, "quality_score": 0.5, "tokens": 20, "metadata": {"a": 1}}
    status, answer = await acme.told("/v1/observe", told)
    assert (status, answer["status"], len(answer["notes"])) == (200, "ok", 2)
    assert (await arms.decision(router, plan, arms.bearer("acme")))["score"] == 0.5
    status, answer = await acme.told("/v1/observe", told | {"model": "large"})
    assert (status, answer["error"]) == (422, "validation_error") and "middle" in answer["detail"]


async def test_a_model_that_fails_is_left_for_the_next_and_both_are_in_the_books(router, provider, acme):
    provider.arms["middle"].status = 500
    status, head, (plan, event, *_, last) = await acme.ask()
    assert (status, head["x-atp-chosen-model"]) == (200, "large")
    assert event == {"type": "event", "event": "escalate", "model": "large", "reason": "failure"}
    assert (last["model_used"], last["escalation_count"], last["text"]) == ("large", 1, "Large said.")
    # 10 tokens at $5 and 20 at $20 a million; what failed told no tokens.
    assert last["cost_usd"] == pytest.approx(450e-6)
    assert provider.asked()["middle"] >= 1 and provider.asked()["large"] == 1
    told = await arms.decision(router, plan["plan_id"], arms.bearer("acme"))
    assert (told["result"]["escalation_count"], told["result"]["model_used"]) == (1, "large")
    row = await arms.row(router, plan["plan_id"])
    assert (row["chosen"], row["attempts"], row["outcome"]) == ("large", sum(provider.asked().values()), "served")


async def test_a_session_stays_at_its_model_until_that_is_ill(tmp_path, provider):
    """Three models of the same worth, chosen with much exploration: a session that has found its model keeps it."""
    facts = {name: arms.MIDDLE for name in ("small", "middle", "large")}
    routes = {"auto": {"candidates": list(facts), "strategy": "thompson", "explore": 0.5}}
    router = await asyncio.to_thread(arms.router, tmp_path / "sticky", provider.url, facts, routes=routes)

    async def plan(caller, session: str, number: int) -> tuple[str, dict]:
        _, head, _ = await caller.chat(text=f"Question {number} of {session}", x_atp_session=session)
        told = await arms.decision(router, head["x-atp-plan"])
        return head["x-atp-chosen-model"], told["plan"]["metadata"]

    with stage.running(router):
        async with arms.calling(router.port) as caller:
            for session in ("one", "two", "three"):
                plans = [await plan(caller, session, number) for number in range(20)]
                # A model that was only tried out is not kept.
                kept = next(place for place, (_, metadata) in enumerate(plans) if not metadata["explored"])
                assert kept < 12, plans
                assert {model for model, _ in plans[kept:]} == {plans[kept][0]}, session
                assert {metadata["strategy"] for _, metadata in plans[kept + 1 :]} == {"sticky"}, session
            ill = plans[-1][0]
            provider.arms[ill].status = 500
            model, _ = await plan(caller, "three", 20)
            assert model != ill
