"""Streams: order, usage only when asked, and the raw events."""

import json

import httpx


def chunks(client, **options):
    with client.chat.completions.create(stream=True, **options) as stream:
        return list(stream)


def test_a_stream_has_a_role_content_and_an_end(client, user):
    got = chunks(client, model="sim-fast", messages=user("Tell me about bridges."))
    assert got[0].choices[0].delta.role == "assistant"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in got)
    assert text
    assert got[-1].choices[0].finish_reason == "stop"
    assert all(chunk.choices[0].finish_reason is None for chunk in got[:-1])
    assert len({chunk.id for chunk in got}) == 1


def test_stream_and_whole_say_the_same(client, user):
    ask = {"model": "sim-fast", "messages": user("Tell me about bridges."), "seed": 11}
    whole = client.chat.completions.create(**ask).choices[0].message.content
    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in chunks(client, **ask))
    assert streamed == whole


async def test_the_async_stream_gets_every_chunk(async_client, user):
    stream = await async_client.chat.completions.create(model="stream8", messages=user("Hello"), stream=True)
    text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert text.split() == [f"token{number}" for number in range(8)]


def test_nobody_who_did_not_ask_sees_usage_though_the_router_asked(client, user, seen):
    got = chunks(client, model="stream8", messages=user("Hello"))
    assert all(chunk.choices for chunk in got)
    assert all(chunk.usage is None for chunk in got)
    assert json.loads(seen.requests()[-1]["body"])["stream_options"]["include_usage"] is True


def test_who_asks_for_usage_gets_it_once_at_the_end(client, user):
    got = chunks(client, model="stream8", messages=user("Hello"), stream_options={"include_usage": True})
    assert [chunk.usage is not None for chunk in got] == [False] * (len(got) - 1) + [True]
    assert got[-1].choices == []
    assert got[-1].usage.prompt_tokens == 250


def test_the_simulated_stream_tells_usage_when_asked(client, user):
    got = chunks(client, model="sim-fast", messages=user("Hello"), stream_options={"include_usage": True})
    assert got[-1].usage.completion_tokens > 0


def test_raw_events_end_with_done_and_are_not_buffered(router):
    body = {"model": "stream8", "stream": True, "messages": [{"role": "user", "content": "Hello"}]}
    with httpx.stream("POST", f"{router.base_url}/chat/completions", json=body, timeout=30) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert "content-length" not in answer.headers
        events = [line for line in answer.iter_lines() if line]
    assert all(line.startswith("data: ") for line in events)
    assert events[-1] == "data: [DONE]"


def test_the_stream_helper_accumulates(client, user):
    with client.chat.completions.stream(model="stream8", messages=user("Hello")) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert "content.delta" in kinds and kinds[-1] in ("content.done", "chunk")
    assert final.choices[0].message.content.startswith("token0")
