"""Chat completions: plain, streamed, several choices, and what the router tells beside the answer."""

import hashlib

import httpx


def test_an_answer_comes_back_typed(client, user):
    answer = client.chat.completions.create(model="sim-fast", messages=user("Tell me about bridges."))
    assert answer.object == "chat.completion"
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0


def test_the_simulated_text_depends_on_the_prompt(client, user):
    ask = lambda text: client.chat.completions.create(model="sim-fast", messages=user(text)).choices[0].message.content  # noqa: E731
    assert ask("Tell me about bridges.") != ask("Tell me about violins.")


async def test_the_async_client_gets_the_same(async_client, user):
    answer = await async_client.chat.completions.create(model="sim-fast", messages=user("Hello"), max_tokens=5)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens <= 5


def test_several_choices_pass_through(client, user):
    answer = client.chat.completions.create(model="n2", messages=user("Hello"), n=2)
    assert [choice.index for choice in answer.choices] == [0, 1]


def test_the_body_reaches_the_provider_byte_for_byte(router, seen):
    body = b'{ "model":"echo",  "messages":[{"role":"user","content":"\\u00e9 \xc3\xa9"}], "unknown_field": [1.0, {"model": "x"}] }'
    answer = httpx.post(f"{router.base_url}/chat/completions", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 200
    arrived = answer.json()["echo"]
    assert arrived["body_sha256"] == hashlib.sha256(body).hexdigest()
    assert arrived["path"] == "/v1/chat/completions"


def test_the_provider_gets_its_own_key_and_never_the_callers(client, user, seen):
    client.chat.completions.create(model="echo", messages=user("Hello"))
    headers = {name.lower(): value for name, value in seen.requests()[-1]["headers"]}
    assert headers["authorization"] == "Bearer upstream-secret"
    assert "none-needed" not in str(seen.requests()[-1])


def test_headers_tell_who_answered(client, user):
    raw = client.chat.completions.with_raw_response.create(model="fast", messages=user("Hello"))
    headers = raw.headers
    assert headers["x-request-id"]
    assert headers["x-atp-provider"] == "up"
    assert headers["x-atp-model"] == "fast"
    assert headers["x-atp-attempts"] == "1"
    assert int(headers["x-atp-overhead-us"]) >= 0
    assert raw.parse()._request_id == headers["x-request-id"]


def test_a_priced_answer_tells_its_cost(client, user):
    raw = client.chat.completions.with_raw_response.create(model="sim-fast", messages=user("Hello"))
    assert float(raw.headers["x-atp-cost-usd"]) > 0


def test_image_and_audio_parts_and_options_pass_through(client, seen):
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
    ]
    client.chat.completions.create(
        model="echo", messages=[{"role": "user", "content": parts}], logprobs=True, top_logprobs=2, seed=7, user="ann"
    )
    body = seen.requests()[-1]["body"]
    for fragment in ("iVBORw0KGgo=", "UklGRg==", '"top_logprobs":2', '"seed":7', '"user":"ann"'):
        assert fragment in body
