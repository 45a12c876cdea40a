"""Tool calls: one, several in parallel, streamed, and the round trip with a result."""

import json

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city on a day",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "day": {"type": "integer", "minimum": 0, "maximum": 6}},
            "required": ["city", "day"],
            "additionalProperties": False,
        },
    },
}
CLOCK = {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}}}


def check_arguments(call):
    arguments = json.loads(call.function.arguments)
    assert isinstance(arguments["city"], str)
    assert 0 <= arguments["day"] <= 6
    assert set(arguments) == {"city", "day"}


def test_a_demanded_tool_is_called_with_valid_arguments(client, user):
    answer = client.chat.completions.create(
        model="sim-fast", messages=user("What is the weather in Paris?"), tools=[WEATHER], tool_choice="required"
    )
    [call] = answer.choices[0].message.tool_calls
    assert answer.choices[0].finish_reason == "tool_calls"
    assert call.type == "function" and call.id and call.function.name == "get_weather"
    check_arguments(call)


def test_a_result_is_followed_by_text(client, user):
    messages = user("What is the weather in Paris?")
    first = client.chat.completions.create(model="sim-fast", messages=messages, tools=[WEATHER], tool_choice="required")
    call = first.choices[0].message.tool_calls[0]
    messages += [first.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
    second = client.chat.completions.create(model="sim-fast", messages=messages, tools=[WEATHER])
    assert second.choices[0].message.content
    assert second.choices[0].finish_reason == "stop"


def test_parallel_calls_of_the_simulated_model(client, user):
    answer = client.chat.completions.create(
        model="sim-fast", messages=user("Use get_weather and get_time for Paris."), tools=[WEATHER, CLOCK]
    )
    calls = answer.choices[0].message.tool_calls
    assert sorted(call.function.name for call in calls) == ["get_time", "get_weather"]
    assert len({call.id for call in calls}) == 2


def test_parallel_calls_pass_through(client, user):
    answer = client.chat.completions.create(model="tools:2", messages=user("Hello"), tools=[WEATHER])
    calls = answer.choices[0].message.tool_calls
    assert [call.id for call in calls] == ["call_0", "call_1"]
    for call in calls:
        check_arguments(call)


def test_streamed_parallel_calls_merge_by_index(client, user):
    calls = {}
    with client.chat.completions.create(model="tools:2", messages=user("Hello"), tools=[WEATHER], stream=True) as stream:
        for chunk in stream:
            for part in chunk.choices[0].delta.tool_calls or []:
                call = calls.setdefault(part.index, {"id": None, "arguments": ""})
                call["id"] = part.id or call["id"]
                call["arguments"] += part.function.arguments or ""
    assert [call["id"] for call in calls.values()] == ["call_0", "call_1"]
    assert [json.loads(call["arguments"])["day"] for call in calls.values()] == [0, 1]


async def test_the_stream_of_the_simulated_model_calls_too(async_client, user):
    stream = await async_client.chat.completions.create(
        model="sim-fast", messages=user("Hello"), tools=[WEATHER], tool_choice="required", stream=True
    )
    arguments, finish = "", None
    async for chunk in stream:
        choice = chunk.choices[0]
        finish = choice.finish_reason or finish
        for part in choice.delta.tool_calls or []:
            arguments += part.function.arguments or ""
    assert finish == "tool_calls"
    assert set(json.loads(arguments)) == {"city", "day"}
