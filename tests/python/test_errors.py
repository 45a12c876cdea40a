"""Every error class of the SDK, from the router and from a provider, and how retries go."""

import json
import time

import httpx
import openai
import pytest

import stage


def ask(client, model, **options):
    return client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Hello"}], **options)


@pytest.mark.parametrize(
    ("model", "error", "status"),
    [
        ("status-400", openai.BadRequestError, 400),
        ("status-403", openai.PermissionDeniedError, 403),
        ("status-404", openai.NotFoundError, 404),
        ("status-409", openai.ConflictError, 409),
        ("status-413", openai.APIStatusError, 413),
        ("status-422", openai.UnprocessableEntityError, 422),
        ("status-429", openai.RateLimitError, 429),
        ("status-500", openai.InternalServerError, 500),
        ("status-503", openai.InternalServerError, 503),
    ],
)
def test_a_providers_error_keeps_its_status_and_words(client, model, error, status):
    with pytest.raises(error) as failed:
        ask(client, model)
    assert failed.value.status_code == status
    assert failed.value.body["message"] == f"the script asks for {status}"
    assert failed.value.response.headers["x-atp-error"]
    assert failed.value.response.headers["x-request-id"]


async def test_the_async_client_raises_the_same_classes(async_client):
    with pytest.raises(openai.RateLimitError):
        await ask(async_client, "status-429")
    with pytest.raises(openai.BadRequestError):
        await ask(async_client, "status-400")


def test_the_routers_own_credentials_are_not_the_callers_fault(client):
    """A provider that refuses the router's key: the code says whose key, and no key is quoted."""
    with pytest.raises(openai.APIStatusError) as failed:
        ask(client, "status-401")
    assert failed.value.response.headers["x-atp-error"] == "provider_auth"
    assert "upstream-secret" not in str(failed.value)


def test_an_unknown_model_is_not_found(client):
    with pytest.raises(openai.NotFoundError) as failed:
        ask(client, "sim-fats")
    assert failed.value.code == "model_not_found"
    assert failed.value.param == "model"
    assert "sim-fats" in failed.value.message


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"not json", 400),
        (b'{"model": "fast", "messages": [', 400),
        (b'["model"]', 400),
        (b'{"messages": []}', 400),
        (b'{"model": 7, "messages": []}', 400),
    ],
)
def test_a_body_that_cannot_be_read_is_a_bad_request(router, body, status):
    answer = httpx.post(f"{router.base_url}/chat/completions", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"


def test_unknown_routes_and_methods_have_openais_shape(router):
    for method, path, status in (("POST", "/v1/no-such-thing", 404), ("GET", "/v1/chat/completions", 405)):
        answer = httpx.request(method, f"{router.url}{path}")
        assert answer.status_code == status
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_a_proxys_error_page_becomes_an_error_object(client):
    with pytest.raises(openai.InternalServerError) as failed:
        ask(client, "html-502")
    assert failed.value.status_code == 502
    assert "<html>" not in str(failed.value)


@pytest.mark.parametrize("model", ["reset", "no-answer", "cut-body"])
def test_a_broken_connection_is_the_providers_fault(client, model):
    with pytest.raises(openai.InternalServerError) as failed:
        ask(client, model)
    assert failed.value.status_code in (502, 503)
    assert failed.value.response.headers["x-atp-error"].startswith("provider_")


def test_retry_after_reaches_the_caller(client):
    with pytest.raises(openai.RateLimitError) as failed:
        ask(client, "status-429:1")
    assert failed.value.response.headers["retry-after"] == "1"
    assert failed.value.response.headers["x-ratelimit-remaining-requests"] == "0"


def test_the_sdks_own_retries_end(router, seen):
    """Two SDK retries must not multiply with the router's tries into a storm."""
    client = openai.OpenAI(base_url=router.base_url, api_key="x", max_retries=2, timeout=30)
    with pytest.raises(openai.RateLimitError):
        ask(client, "status-429")
    assert 1 <= seen.stats()["requests_total"] <= 9


def test_a_failure_now_and_then_is_not_seen_by_a_client_that_retries(router):
    client = openai.OpenAI(base_url=router.base_url, api_key="x", max_retries=2, timeout=30)
    for _ in range(6):
        assert ask(client, "flaky:2").choices[0].message.content


def test_the_clients_own_timeout_raises(client):
    started = time.monotonic()
    with pytest.raises(openai.APITimeoutError):
        ask(client.with_options(timeout=0.3), "hang-head")
    assert time.monotonic() - started < 5


def test_the_callers_patience_bounds_the_routers_wait(client):
    started = time.monotonic()
    with pytest.raises(openai.InternalServerError) as failed:
        ask(client, "hang-head", extra_headers={"x-atp-timeout-ms": "300"})
    assert failed.value.status_code == 504
    assert failed.value.response.headers["x-atp-error"].startswith("timeout_")
    assert 0.25 < time.monotonic() - started < 5


@pytest.mark.parametrize("model", ["cut-chunk:3", "reset-stream:3", "error-in-200:3"])
def test_a_stream_that_breaks_raises_api_error_after_what_came(client, model):
    texts = []
    with pytest.raises(openai.APIError) as failed:
        with ask(client, model, stream=True) as stream:
            for chunk in stream:
                texts.append(chunk.choices[0].delta.content)
    assert texts == ["token0 ", "token1 ", "token2 "]
    assert failed.value.code == ("overloaded" if model.startswith("error-in") else "provider_cut")


def test_half_an_event_that_has_gone_out_is_followed_by_nothing(client):
    """Who asked for usage gets the provider's bytes as they arrive; an error cannot be told inside an event."""
    with pytest.raises(openai.APIError):
        with ask(client, "cut-chunk:3", stream=True, stream_options={"include_usage": True}) as stream:
            for _ in stream:
                pass


async def test_a_broken_stream_raises_in_the_async_client(async_client):
    with pytest.raises(openai.APIError):
        async for _ in await ask(async_client, "cut-chunk:3", stream=True):
            pass


def test_a_silent_stream_is_ended_by_the_callers_patience(client):
    started = time.monotonic()
    with pytest.raises(openai.APIError):
        with ask(client, "hang-stream:3", stream=True, extra_headers={"x-atp-timeout-ms": "400"}) as stream:
            for _ in stream:
                pass
    assert time.monotonic() - started < 5


def test_an_error_before_the_first_content_is_an_error_and_no_stream(client):
    with pytest.raises(openai.APIError):
        with ask(client, "error-in-200:0", stream=True) as stream:
            assert not list(stream)


def test_garbage_for_a_stream_raises_and_the_router_lives(client):
    with pytest.raises((openai.APIError, json.JSONDecodeError)):
        with ask(client, "garbage-sse", stream=True) as stream:
            for _ in stream:
                pass
    assert ask(client, "fast").choices[0].message.content


@pytest.fixture(scope="module")
def narrow(folder, upstream):
    """A router with small limits, set by the environment."""
    env = {"ROUTER_MAX_PROMPT_CHARS": "1000", "ROUTER_RPS_LIMIT": "5", "ROUTER_RPS_BURST": "5"}
    router = stage.Router(folder / "narrow", {"up": stage.openai_provider(upstream.url)}, stage.scripted(), env=env)
    with stage.running(router):
        yield router


def test_limits_raise_the_right_classes(narrow):
    client = openai.OpenAI(base_url=narrow.base_url, api_key="x", max_retries=0)
    with pytest.raises(openai.APIStatusError) as failed:
        client.chat.completions.create(model="fast", messages=[{"role": "user", "content": "x" * 1001}])
    assert failed.value.status_code == 413
    assert failed.value.response.headers["x-atp-error"] == "prompt_too_large"
    with pytest.raises(openai.RateLimitError) as failed:
        for _ in range(50):
            ask(client, "fast")
    assert failed.value.response.headers["x-atp-error"] == "rate_limited"
    assert float(failed.value.response.headers["retry-after"]) >= 0


def test_failover_hides_a_failing_target(folder, upstream):
    targets = [{"provider": "up", "model": name} for name in ("status-500", "status-429", "reset", "fast")]
    models = {"m": {"targets": targets}}
    providers = {"up": stage.openai_provider(upstream.url)}
    with stage.running(stage.Router(folder / "failover", providers, models, retry={"max_attempts": 4})) as router:
        client = openai.OpenAI(base_url=router.base_url, api_key="x", max_retries=0)
        raw = client.chat.completions.with_raw_response.create(model="m", messages=[{"role": "user", "content": "Hello"}])
        assert raw.headers["x-atp-model"] == "fast"
        assert int(raw.headers["x-atp-attempts"]) == 4
        with ask(client, "m", stream=True) as stream:
            assert "token0" in "".join(chunk.choices[0].delta.content or "" for chunk in stream)
