"""`/v1/ask` and `/v1/plan`: messages, framings, one piece, errors, and the plan that they share."""

import asyncio
import hashlib
import json

import pytest

import arms
import stage

PLAN = {"type", "candidates", "cluster_hint", "prompt_hash", "reason", "roles", "plan_id"}
FINAL = {
    *("type", "text", "model_used", "tokens_in", "tokens_out", "cost_usd", "savings_pct", "escalation_count", "quality_score"),
    *("cluster_hint", "energy_kwh", "co2e_grams", "tool_success", "format_ok", "safety_ok", "phase"),
}


async def test_an_ask_is_a_plan_chunks_and_a_final_message(router, provider, acme):
    provider.arms["middle"].pace = 0.03
    status, head, (plan, *chunks, last) = await acme.ask(quality="balanced")
    assert (status, head["content-type"]) == (200, "application/x-ndjson")
    assert PLAN <= plan.keys() and FINAL <= last.keys(), (plan, last)
    assert plan["roles"][0] == {"role": "primary", "model": "middle"}
    assert [candidate["model"] for candidate in plan["candidates"]] == ["middle", "large"]
    assert all(candidate.keys() == {"model", "cost_per_1k", "quality_pred", "latency_p95"} for candidate in plan["candidates"])
    assert plan["prompt_hash"] == hashlib.sha256(b"Tell me a story about a fox").hexdigest()[:16]
    assert plan["plan_id"] == head["x-atp-plan"] == head["x-request-id"]
    assert (head["x-atp-chosen-model"], head["x-atp-provider"]) == ("middle", "up")
    assert [chunk["seq"] for chunk in chunks] == list(range(1, len(chunks) + 1)) and len(chunks) >= 2
    assert {(chunk["type"], chunk["model"]) for chunk in chunks} == {("chunk", "middle")}
    assert "".join(chunk["text"] for chunk in chunks) == last["text"] == "Middle said."
    assert (last["type"], last["model_used"], last["tokens_in"], last["tokens_out"]) == ("final", "middle", 10, 20)
    # 10 tokens at $1 and 20 at $4 a million; large would have cost five times as much.
    assert last["cost_usd"] == pytest.approx(90e-6) and last["savings_pct"] == pytest.approx(80.0)
    assert (last["escalation_count"], last["format_ok"], last["quality_score"], last["phase"]) == (0, True, None, "active")
    assert provider.asked() == {"small": 0, "middle": 1, "large": 0}
    row = await arms.row(router, plan["plan_id"])
    assert (row["model"], row["chosen"], row["outcome"], row["tenant"]) == ("auto", "middle", "served", "acme")


async def test_who_accepts_events_gets_real_ones(acme):
    status, head, body = await acme.post("/v1/ask", {"prompt": "Hi"}, accept="text/event-stream")
    assert (status, head["content-type"]) == (200, "text/event-stream")
    events = body.decode().removesuffix("\n\n").split("\n\n")
    assert all(event.startswith("data: ") and "\n" not in event for event in events)
    kinds = [json.loads(event.removeprefix("data: "))["type"] for event in events]
    assert (kinds[0], kinds[-1], set(kinds[1:-1])) == ("plan", "final", {"chunk"})


async def test_one_piece_is_one_object(acme):
    status, head, [whole] = await acme.ask(stream=False, quality="high")
    assert (status, head["content-type"], head["x-atp-chosen-model"]) == (200, "application/json", "large")
    assert whole["text"] == whole["response"] == "Large said." and FINAL <= whole.keys()
    assert (whole["model_used"], whole["tokens_in"]) == ("large", 10)
    assert whole["latency_ms"] > 0 and whole["metadata"]["plan"]["plan_id"] == whole["metadata"]["request_id"]
    assert float(head["x-atp-cost-usd"]) == whole["cost_usd"] == pytest.approx(450e-6)


async def test_what_is_asked_reaches_the_model(provider, acme):
    await acme.ask("What?", system="Be brief", max_tokens=77, model="middle")
    [body] = provider.arms["middle"].bodies
    assert body["messages"] == [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "What?"}]
    assert (body["max_completion_tokens"], body["stream"]) == (77, True)


async def test_a_model_that_is_named_is_asked_without_a_choice(acme):
    status, head, (plan, *_, last) = await acme.ask(model="small")
    assert (status, last["model_used"], plan["plan_id"], plan["prompt_hash"]) == (200, "small", None, None)
    assert "x-atp-plan" not in head and "x-atp-chosen-model" not in head


async def test_a_plan_is_the_plan_of_the_ask_and_asks_nobody(provider, acme):
    fields = {"quality": "balanced", "max_cost_usd": 0.5, "task_type": "code"}
    status, planned = await acme.told("/v1/plan", {"prompt": "Sort a list in Rust"} | fields)
    assert status == 200 and sum(provider.asked().values()) == 0
    _, _, (plan, *_) = await acme.ask("Sort a list in Rust", **fields)
    assert planned["selected_model"] == plan["roles"][0]["model"] == "middle"
    assert planned["metadata"]["order"] == [candidate["model"] for candidate in plan["candidates"]]
    assert planned["metadata"]["max_cost_usd"] == 0.5
    for name in ("cluster_hint", "prompt_hash", "roles"):
        assert planned[name] == plan[name], name
    dropped = {candidate["model"]: candidate["dropped"] for candidate in planned["candidates"]}
    assert dropped == {"small": "quality", "middle": None, "large": None}
    # The same of a chat; only the framing of its messages is counted beside the prompt.
    chat = {"model": "auto", "messages": [{"role": "user", "content": "Sort a list in Rust"}]}
    status, of_chat = await acme.told("/v1/plan", chat, x_atp_quality="balanced", x_atp_task="code")
    assert (status, of_chat["selected_model"], of_chat["prompt_hash"]) == (200, "middle", plan["prompt_hash"])
    assert sum(provider.asked().values()) == 1


async def test_what_has_no_effect_is_told(acme):
    fields = {"context_refs": ["doc-1"], "consistency_level": "RYW", "tenant": "acme", "temprature": 1}
    status, _, (plan, *_) = await acme.ask(**fields)
    assert status == 200
    assert ["context_refs" in plan["notes"][0], "consistency_level" in plan["notes"][1], "temprature" in plan["notes"][2]] == [True] * 3


BAD = [
    ({"prompt": ""}, 422, "validation_error", "`prompt` is"),
    ({}, 422, "validation_error", "`prompt` is missing"),
    ({"prompt": "x", "quality": "best"}, 422, "validation_error", "fast, balanced or high"),
    ({"prompt": "x", "max_cost_usd": 11}, 422, "validation_error", "`max_cost_usd` is 11"),
    ({"prompt": "x", "latency_slo_ms": 99}, 422, "validation_error", "`latency_slo_ms` is 99"),
    ({"prompt": "x", "context_refs": ["r"] * 51}, 422, "validation_error", "`context_refs` is a list of 51"),
    ({"prompt": "x", "consistency_level": "MAYBE"}, 422, "validation_error", "EVENTUAL"),
    ({"prompt": "x" * 100_001}, 413, "prompt_too_large", "prompt_too_large: "),
    ({"prompt": "x", "tenant": "other"}, 403, "permission_denied", "`tenant` is"),
    ({"prompt": "x", "model": "nobody"}, 404, "model_not_found", "nobody"),
    # A thousand tokens of input at $5 a million.
    ({"prompt": "word " * 1000, "model": "large", "max_cost_usd": 0.001}, 429, "backpressure", "budget_denied: "),
    ({"prompt": "x", "latency_slo_ms": 30_000, "model": "auto", "task_type": 7}, 422, "validation_error", "`task_type` is 7"),
]


@pytest.mark.parametrize(("body", "status", "code", "detail"), BAD, ids=[f"{code}-{detail[:24]}" for _, _, code, detail in BAD])
async def test_every_refusal_has_a_code_a_status_and_a_way_out(provider, acme, body, status, code, detail):
    got, head, text = await acme.post("/v1/ask", body)
    told = json.loads(text)
    assert (got, told["error"], head["x-atp-error"], head["content-type"]) == (status, code, code, "application/json"), told
    assert told.keys() == {"error", "detail"} and detail in told["detail"], told
    assert head["x-request-id"].startswith("req_")
    assert sum(provider.asked().values()) == 0


async def test_no_key_no_json_and_no_such_method_are_refused_in_the_same_words(router, acme):
    async with arms.calling(router.port) as nobody:
        status, told = await nobody.told("/v1/ask", {"prompt": "x"})
        assert (status, told["error"]) == (401, "authentication_failed")
    for path in ("/v1/ask", "/v1/plan", "/v1/feedback", "/v1/observe"):
        status, told = await acme.told(path, b"{")
        assert (status, told["error"]) == (400, "invalid_request"), path
        status, told = await asyncio.to_thread(arms.read, router, path)
        assert (status, told["error"]) == (405, "invalid_request"), path


async def test_a_provider_that_fails_everywhere_is_an_external_fault(router, provider, acme):
    for arm in provider.arms.values():
        arm.status = 500
    status, head, [told] = await acme.ask()
    assert (status, told["error"], head["x-atp-error"]) == (502, "external_service_error", "external_service_error")
    assert told["detail"].startswith("provider_failed: ")
    assert arms_sample(router, "error_code_provider_failed_total") >= 1


async def test_nobody_who_may_answer_is_told_with_each_ones_reason(acme):
    status, head, [told] = await acme.ask(headers={"x_atp_data_scope": "secret"})
    assert (status, told["error"], head["x-atp-error"]) == (503, "no_models_available", "no_models_available")
    assert all(model in told["detail"] for model in ("small", "middle", "large")), told


async def test_refusals_are_counted_by_their_code(router, acme):
    before = arms_sample(router, "error_code_validation_error_total")
    await acme.ask(quality="best")
    assert arms_sample(router, "error_code_validation_error_total") == before + 1


async def test_who_leaves_ends_the_work_of_the_model(provider, router):
    provider.arms["middle"].delay = 20.0
    caller = arms.Caller(router.port, arms.bearer("acme"))
    asking = asyncio.create_task(caller.ask(latency_slo_ms=30_000))
    while not provider.arms["middle"].asked:
        await asyncio.sleep(0.02)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    for _ in range(200):
        if provider.arms["middle"].left:
            break
        await asyncio.sleep(0.02)
    assert provider.arms["middle"].left == 1


async def test_a_local_model_without_a_price_is_not_refused_by_a_ceiling_that_nobody_set(tmp_path, provider):
    router = await asyncio.to_thread(arms.router, tmp_path / "unpriced", provider.url, {"small": {}})
    with stage.running(router):
        async with arms.calling(router.port) as caller:
            status, _, messages = await caller.ask()
            assert (status, messages[-1]["model_used"], messages[-1]["cost_usd"]) == (200, "small", None), messages
            status, _, [told] = await caller.ask(max_cost_usd=0.05)
            assert (status, told["error"]) == (429, "backpressure"), "a ceiling that was set needs a price"


def arms_sample(router, name: str) -> float:
    return sum(value for sample, value in router.metrics().items() if sample.partition("{")[0] == name)
