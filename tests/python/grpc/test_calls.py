"""Every method, by stubs that anybody could have made, against the binary."""

import base64
import collections
import json
import time

import pytest

import stage

#: A model that two names have.
FACTS = {"quality": 0.80, "latency_p95_ms": 900, "prices": {"input": 1_000_000, "output": 4_000_000}}

SCHEMA = {"type": "object", "properties": {"zeta": {"type": "string"}, "alpha": {"type": "integer"}}, "required": ["zeta", "alpha"], "additionalProperties": False}


def events(stream) -> dict[str, list]:
    found = collections.defaultdict(list)
    for message in stream:
        kind = message.WhichOneof("event")
        found[kind].append(getattr(message, kind))
    return found


def test_an_answer_in_one_piece(calls, chat, pb):
    answer, call = calls.Chat.with_call(chat("sim-fast", max_output_tokens=12))
    [choice] = answer.choices
    assert choice.message.role == pb.ROLE_ASSISTANT and choice.message.text
    assert (choice.finish_reason, choice.finish_reason_text) == (pb.FINISH_REASON_LENGTH, "length")
    assert (answer.usage.output_tokens, json.loads(answer.usage.provider_json)["completion_tokens"]) == (12, 12)
    assert (answer.routing.provider, answer.routing.target_model, answer.routing.attempts) == ("sim", "sim-fast", 1)
    metadata = dict(call.initial_metadata())
    assert metadata["x-request-id"] == answer.routing.request_id
    assert (metadata["x-atp-provider"], metadata["x-atp-attempts"]) == ("sim", "1")


def test_a_stream_says_what_the_answer_says(calls, chat, pb):
    ask = chat("sim-fast", "Tell me about foxes", seed=7, temperature=0, max_output_tokens=40)
    whole = calls.Chat(ask)
    told = events(calls.ChatStream(ask))
    assert "".join(delta.text for delta in told["delta"]) == whole.choices[0].message.text
    assert [delta.finish_reason for delta in told["delta"] if delta.finish_reason] == [whole.choices[0].finish_reason]
    [started], [end] = told["started"], told["end"]
    assert started.routing.request_id == end.routing.request_id
    assert end.usage.output_tokens == whole.usage.output_tokens == 40
    assert end.model == whole.model


def test_several_answers_keep_their_places(calls, chat, pb):
    assert [choice.index for choice in calls.Chat(chat("n2", n=2)).choices] == [0, 1]


def test_tools_are_called_and_answered(calls, chat, pb, seen):
    weather = pb.Function(name="get_weather", description="Weather of a city")
    weather.schema.update({"type": "object", "properties": {"city": {"type": "string"}}})
    ask = chat("tools:2", tools=[pb.Tool(function=weather)], tool_choice=pb.ToolChoice(mode=pb.TOOL_MODE_AUTO))
    message = calls.Chat(ask).choices[0].message
    assert len(message.tool_calls) == 2
    for call in message.tool_calls:
        assert call.id and call.function.name == "get_weather" and isinstance(json.loads(call.function.arguments), dict)
    whole = [call.function.arguments for call in message.tool_calls]
    pieces = collections.defaultdict(str)
    for delta in events(calls.ChatStream(ask))["delta"]:
        for call in delta.tool_calls:
            pieces[call.index] += call.arguments
    assert [pieces[0], pieces[1]] == whole
    # The answer goes back as it came, with what the tools said behind it.
    ask.messages.append(message)
    ask.messages.extend(pb.Message(role=pb.ROLE_TOOL, tool_call_id=call.id, text="mild") for call in message.tool_calls)
    calls.Chat(ask)
    sent = seen.requests()[-1]["body"]
    sent = sent if isinstance(sent, dict) else json.loads(sent)
    assert [each["role"] for each in sent["messages"]] == ["user", "assistant", "tool", "tool"]
    assert sent["messages"][1]["tool_calls"][0]["function"]["arguments"] == whole[0]
    assert sent["tools"][0]["function"]["parameters"]["properties"] == {"city": {"type": "string"}}


def test_an_answer_by_a_schema(calls, chat, pb):
    for schema in ({"schema_json": json.dumps(SCHEMA)}, {"schema": SCHEMA}):
        form = pb.ResponseFormat(json_schema=pb.JsonSchema(name="made", strict=True, **schema))
        told = json.loads(calls.Chat(chat("sim-balanced", response_format=form)).choices[0].message.text)
        assert isinstance(told["zeta"], str) and isinstance(told["alpha"], int)


def test_what_has_no_field_goes_through(calls, pb, seen):
    part = pb.Part(text="Look", extra_json='{"cache_control":{"type":"ephemeral"}}')
    image = pb.Part(image=pb.Image(data=b"\x89PNG", media_type="image/png", detail=pb.IMAGE_DETAIL_HIGH))
    ask = pb.ChatRequest(model="fast", messages=[pb.Message(role=pb.ROLE_USER, parts=[part, image])], extra_json='{"top_k":40}')
    calls.Chat(ask, metadata=[("openai-beta", "b")])
    [sent] = seen.requests()
    body = sent["body"] if isinstance(sent["body"], dict) else json.loads(sent["body"])
    assert body["top_k"] == 40
    assert body["messages"][0]["content"] == [
        {"type": "text", "text": "Look", "cache_control": {"type": "ephemeral"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode(), "detail": "high"}},
    ]


def test_vectors(calls, pb):
    answer = calls.Embed(pb.EmbedRequest(model="embed3", input=["a", "b"]))
    assert answer.embeddings and [each.index for each in answer.embeddings] == list(range(len(answer.embeddings)))
    assert len(answer.embeddings[0].values) > 100 and any(answer.embeddings[0].values)
    assert answer.usage.input_tokens > 0 and answer.routing.provider == "up"


def test_models_are_listed(calls, pb):
    models = {model.id: model.owner for model in calls.ListModels(pb.ListModelsRequest()).models}
    assert models["sim-fast"] == "sim" and models["fast"] == "up"


def test_calls_are_in_the_books_as_chats(calls, chat, pb, router):
    asked = {calls.Chat(chat("fast")).routing.request_id: False}
    for message in calls.ChatStream(chat("stream8")):
        if message.WhichOneof("event") == "end":
            asked[message.end.routing.request_id] = True
    rows = {}
    deadline = time.monotonic() + 10
    while not asked.keys() <= rows.keys():
        assert time.monotonic() < deadline, rows
        time.sleep(0.05)
        rows = {row["id"]: row for row in json.loads(stage.get(f"{router.admin_url}/admin/usage?limit=100")[1]).get("rows", [])}
    for request, stream in asked.items():
        row = rows[request]
        assert (row["operation"], row["provider"], row["outcome"], row["stream"]) == ("chat", "up", "served", stream)
        assert row["attempts"] == 1


@pytest.fixture
def chosen(tmp_path, pb, open_calls):
    """A router that chooses among two models that nobody can tell apart, and a client of it."""
    models = {"capacity": 50, "time_to_first_token_ms": 1, "tokens_per_second": 100000}
    providers = {"sim": {"kind": "simulated", "simulated": {"models": {"one": models, "two": models}}}}
    facts = {name: {"targets": [{"provider": "sim", "model": name}]} | FACTS for name in ("one", "two")}
    routes = {"auto": {"candidates": ["one", "two"], "sticky": {"session": False, "prefix": False}, "weights": {"quality": 1.0}, "explore": "10%"}}
    with stage.running(stage.Router(tmp_path / "chosen", providers, facts, routes=routes, drain={"min_delay": "0s"})) as router:
        channel, calls = open_calls(router)
        with channel:
            yield calls


def test_a_plan_a_decision_and_scores_that_move_the_choice(chosen, chat, pb):
    plan = chosen.Plan(pb.PlanRequest(chat=chat("", "Tell me a story about a fox"))).plan
    assert sorted(plan.order) == ["one", "two"] and plan.selected_model in plan.order
    assert len(plan.candidates) == 2 and plan.candidates[0].price.input == FACTS["prices"]["input"]
    picked = []
    for _ in range(120):
        routing = chosen.Chat(chat("auto", "Tell me a story about a fox", max_output_tokens=4)).routing
        picked.append(routing.chosen_model)
        chosen.Feedback(pb.FeedbackRequest(request_id=routing.plan_id, thumbs=pb.THUMBS_UP if routing.chosen_model == "two" else pb.THUMBS_DOWN))
    assert picked[-40:].count("two") >= 30, picked
    decision = chosen.Decision(pb.DecisionRequest(id=routing.plan_id))
    assert decision.plan.id == routing.plan_id and decision.result.outcome == "served"
    assert decision.score == (1.0 if routing.chosen_model == "two" else 0.0)
    seen = pb.ObserveRequest(request_id=routing.plan_id, model=routing.chosen_model, latency_ms=12, quality_score=0.5)
    assert list(chosen.Observe(seen).notes) == []


def test_reuse_and_restart_are_wishes_of_the_message(tmp_path, upstream, chat, pb, open_calls):
    models = {
        "cut": {"targets": [{"provider": "up", "model": "cut-chunk:3"}, {"provider": "up", "model": "stream8"}], "on_cut": "restart"},
        "kept": {"targets": [{"provider": "up", "model": "fast"}], "cache": {"ttl": "1m"}},
    }
    providers = {"up": stage.openai_provider(upstream.url)}
    with stage.running(stage.Router(tmp_path / "reuse", providers, models, drain={"min_delay": "0s"})) as router:
        channel, calls = open_calls(router)
        with channel:
            stream = calls.ChatStream(chat("cut", routing=pb.Routing(accept_restart=True)))
            kinds = [message.WhichOneof("event") for message in stream]
            assert kinds.count("restart") == 1 and kinds[-1] == "end"
            assert "delta" in kinds[: kinds.index("restart")] and kinds[kinds.index("restart") :].count("delta") >= 8

            ask = chat("kept", temperature=0)
            reused = [calls.Chat(ask).routing.reused for _ in range(2)]
            assert reused == [pb.REUSED_UNSPECIFIED, pb.REUSED_HIT]
            ask.routing.reuse = pb.REUSE_RENEW
            assert calls.Chat(ask).routing.reused == pb.REUSED_UNSPECIFIED
