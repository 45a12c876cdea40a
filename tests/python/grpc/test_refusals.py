"""Each class of error has its code, its metadata and its details."""

import time

import grpc
import pytest
import stage
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2
from grpc_status import rpc_status

CODES = [
    ("nothing", "NOT_FOUND", "model_not_found"),
    ("status-400", "INVALID_ARGUMENT", "provider_rejected"),
    ("status-401", "INTERNAL", "provider_auth"),
    ("status-422", "INVALID_ARGUMENT", "provider_rejected"),
    ("status-429", "UNAVAILABLE", "provider_overloaded"),
    ("status-500", "UNAVAILABLE", "provider_failed"),
    ("html-502", "UNAVAILABLE", "provider_failed"),
    ("cut-body", "UNAVAILABLE", "provider_cut"),
]


def refused(call, *args, **more) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        answer = call(*args, **more)
        if hasattr(answer, "__next__"):
            list(answer)
    return caught.value


def metadata(error) -> dict:
    return dict(error.initial_metadata() or ()) | dict(error.trailing_metadata() or ())


def details(error) -> dict:
    found = {}
    for each in rpc_status.from_call(error).details:
        kind = getattr(error_details_pb2, each.type_url.rsplit(".", 1)[1])()
        assert each.Unpack(kind)
        found[type(kind).__name__] = kind
    return found


@pytest.mark.parametrize("method", ["Chat", "ChatStream"])
@pytest.mark.parametrize(("model", "code", "word"), CODES)
def test_an_error_has_a_code_and_its_words(tmp_path, open_calls, upstream, chat, model, code, word, method):
    # A router of its own: one failure is enough for a provider to be left alone for a while.
    models = {model: {"targets": [{"provider": "up", "model": model}]}} if model != "nothing" else {"m": {"targets": [{"provider": "up"}]}}
    providers = {"up": stage.openai_provider(upstream.url)}
    with stage.running(stage.Router(tmp_path / "fresh", providers, models, drain={"min_delay": "0s"})) as router:
        channel, calls = open_calls(router)
        with channel:
            error = refused(getattr(calls, method), chat(model))
    told = metadata(error)
    assert (error.code().name, told["x-atp-error"]) == (code, word), error.details()
    assert told["x-request-id"].startswith("req_") and error.details()
    assert details(error)["ErrorInfo"].reason == word.upper()


@pytest.mark.parametrize("model", ["cut-chunk:3", "reset-stream:3", "error-in-200:3"])
def test_a_stream_that_breaks_off_has_said_something_and_fails(calls, chat, model):
    stream = calls.ChatStream(chat(model))
    kinds = []
    with pytest.raises(grpc.RpcError) as caught:
        for message in stream:
            kinds.append(message.WhichOneof("event"))
    assert caught.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL)
    assert "delta" in kinds and "end" not in kinds


def test_a_wrong_value_names_its_field(calls, chat, pb):
    ask = chat("fast", temperature=float("nan"))
    error = refused(calls.Chat, ask)
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    [violation] = details(error)["BadRequest"].field_violations
    assert violation.field == "temperature"
    error = refused(calls.Chat, chat("fast", routing=pb.Routing(quality=17)))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT and "routing.quality" in error.details()


@pytest.mark.parametrize("model", ["slow-head:2000", "hang-head"])
def test_a_deadline_bounds_the_providers_work(chat, model, seen, tmp_path, open_calls):
    models = {model: {"targets": [{"provider": "up", "model": model}]}}
    with stage.running(stage.Router(tmp_path / "late", {"up": stage.openai_provider(seen.url)}, models)) as router:
        channel, own = open_calls(router)
        with channel:
            started = time.monotonic()
            error = refused(own.Chat, chat(model), timeout=0.4)
            assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
            assert time.monotonic() - started < 1.5
        until(lambda: seen.stats()["requests_open"] == 0)


def until(condition, seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not so within {seconds} s"
        time.sleep(0.005)


def test_the_routers_own_deadline_tells_which_timer_ran_out(calls, chat):
    error = refused(calls.Chat, chat("hang-head"), metadata=[("x-atp-timeout-ms", "150")])
    assert (error.code(), metadata(error)["x-atp-error"][:8]) == (grpc.StatusCode.DEADLINE_EXCEEDED, "timeout_")


def test_messages_are_not_compressed_and_that_is_told(calls, chat):
    error = refused(calls.Chat, chat("fast"), compression=grpc.Compression.Gzip)
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED and "compression" in error.details()


def test_an_unknown_method_is_unimplemented(channel):
    for path in ("/atp.router.v1.RouterService/Sing", "/nobody.at.Home/Chat"):
        call = channel.unary_unary(path, request_serializer=bytes, response_deserializer=bytes)
        assert refused(call, b"").code() == grpc.StatusCode.UNIMPLEMENTED


@pytest.fixture
def strict(tmp_path, open_calls):
    keys = [
        {"name": "ok", "key": "sk-ok-0123456789abcdef", "qos": "silver"},
        {"name": "slow", "key": "sk-slow-0123456789abcdef", "rps_limit": {"rate": 1, "burst": 1}},
        {"name": "poor", "key": "sk-poor-0123456789abcdef", "budget": {"usd": 0.001, "per": "day"}},
    ]
    models = {"m": {"targets": [{"provider": "sim", "model": "sim-fast"}], "prices": {"input": 1_000_000_000, "output": 1_000_000_000}}}
    router = stage.Router(tmp_path / "strict", {"sim": {"kind": "simulated"}}, models, keys=keys, limits={"max_body": "2KiB"}, drain={"min_delay": "0s"})
    with stage.running(router):
        channel, calls = open_calls(router)
        with channel:
            yield calls


def test_keys_limits_and_budgets(strict, chat, pb):
    assert refused(strict.Chat, chat("m")).code() == grpc.StatusCode.UNAUTHENTICATED
    assert refused(strict.ListModels, pb.ListModelsRequest(), metadata=[("x-api-key", "sk-other")]).code() == grpc.StatusCode.UNAUTHENTICATED
    ok = [("authorization", "Bearer sk-ok-0123456789abcdef")]
    assert strict.Chat(chat("m", max_output_tokens=3), metadata=ok).usage.output_tokens == 3
    assert strict.Chat(chat("m", max_output_tokens=3), metadata=[("x-api-key", "sk-ok-0123456789abcdef")]).routing.cost_usd_micros > 0
    gold = refused(strict.Chat, chat("m", routing=pb.Routing(qos=pb.QOS_GOLD)), metadata=ok)
    assert gold.code() == grpc.StatusCode.PERMISSION_DENIED
    large = refused(strict.Chat, chat("m", "x" * 4000), metadata=ok)
    assert large.code() == grpc.StatusCode.RESOURCE_EXHAUSTED and "limits.max_body" in large.details()

    slow = [("x-api-key", "sk-slow-0123456789abcdef")]
    errors = []
    for _ in range(4):
        try:
            strict.Chat(chat("m", max_output_tokens=1), metadata=slow)
        except grpc.RpcError as error:
            errors.append(error)
    limited = errors[-1]
    assert (limited.code(), metadata(limited)["x-atp-error"]) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "rate_limited")
    delay: Duration = details(limited)["RetryInfo"].retry_delay
    assert 0 < delay.seconds + delay.nanos / 1e9 <= 2
    assert int(metadata(limited)["grpc-retry-pushback-ms"]) > 0

    poor = refused(strict.Chat, chat("m", max_output_tokens=100), metadata=[("x-api-key", "sk-poor-0123456789abcdef")])
    assert (poor.code(), metadata(poor)["x-atp-error"]) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "budget_denied")
    dear = refused(strict.Chat, chat("m", max_output_tokens=100, routing=pb.Routing(max_cost_usd_micros=5)), metadata=ok)
    assert dear.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
