"""A caller that leaves ends the provider's work; a router that leaves finishes what it has."""

import signal
import threading
import time

import grpc
import pytest
import stage
from grpc_health.v1 import health_pb2, health_pb2_grpc

#: What the router promises, and how often a busy machine may be late before it counts as broken.
PROMISED_S, TRIES = 0.050, 5


def until(condition, seconds: float = 5.0) -> float:
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, f"not so within {seconds} s"
        time.sleep(0.001)
    return time.monotonic() - started


def held(router) -> dict:
    return {name: value for name, value in router.metrics().items() if name in ("atp_in_flight", "atp_tasks") and value}


def test_cancelled_before_the_first_byte(calls, chat, seen, router):
    for call in (lambda: calls.Chat.future(chat("hang-head")), lambda: calls.ChatStream(chat("hang-head"))):
        waits = []
        for _ in range(TRIES):
            asked = call()
            until(lambda: seen.stats()["requests_open"] == 1)
            asked.cancel()
            waits.append(until(lambda: seen.stats()["requests_open"] == 0))
        assert min(waits) < PROMISED_S, waits
    until(lambda: not held(router))


@pytest.mark.parametrize("model", ["stream500-paced:10", "hang-stream:3"])
def test_cancelled_in_the_stream(calls, chat, seen, router, model):
    waits = []
    for _ in range(TRIES):
        stream = calls.ChatStream(chat(model))
        for _ in range(3):
            next(stream)
        assert seen.stats()["streams_open"] == 1
        stream.cancel()
        waits.append(until(lambda: seen.stats()["streams_open"] == 0))
        with pytest.raises(grpc.RpcError):
            list(stream)
    assert min(waits) < PROMISED_S, waits
    until(lambda: not held(router))


def test_a_channel_that_closes_cancels_what_is_under_way(stubs, chat, seen, router, open_calls):
    channel, own = open_calls(router)
    stream = own.ChatStream(chat("stream500-paced:10"))
    next(stream)
    until(lambda: seen.stats()["streams_open"] == 1)
    channel.close()
    until(lambda: seen.stats()["streams_open"] == 0)
    until(lambda: not held(router))


def test_a_drain_finishes_streams_and_tells_watchers(tmp_path, upstream, chat, open_calls):
    drain = {"min_delay": "400ms", "grace": "8s"}
    process = stage.Router(tmp_path / "drain", {"up": stage.openai_provider(upstream.url)}, stage.scripted(), drain=drain)
    with stage.running(process) as router:
        channel, calls = open_calls(router)
        with channel:
            stream = calls.ChatStream(chat("stream500-paced:5"))
            next(stream)
            watched, watcher = [], health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
            watched.append(next(watcher).status)
            ended = []

            def watch():
                try:
                    watched.extend(message.status for message in watcher)
                except grpc.RpcError as error:
                    ended.append(error.code())

            watching = threading.Thread(target=watch)
            watching.start()
            router.send(signal.SIGTERM)
            # Not ready, and still answering.
            until(lambda: watched[-1] == health_pb2.HealthCheckResponse.NOT_SERVING, 1)
            assert calls.Chat(chat("fast")).choices
            kinds = [message.WhichOneof("event") for message in stream]
            assert kinds[-1] == "end" and kinds.count("delta") >= 500
            watching.join(5)
            assert ended == [grpc.StatusCode.UNAVAILABLE]
            started = time.monotonic()
            assert router.child.wait(5) == 0
            assert time.monotonic() - started < 3


def test_cancelled_in_the_queue(tmp_path, chat, open_calls):
    """The provider serves one at a time; who leaves its queue is not served any more, and nobody waits for him."""
    model = {"capacity": 1, "time_to_first_token_ms": 600, "tokens_per_second": 1000}
    providers = {"sim": {"kind": "simulated", "simulated": {"models": {"one": model}}}}
    models = {"one": {"targets": [{"provider": "sim", "model": "one"}]}}
    with stage.running(stage.Router(tmp_path / "queue", providers, models, drain={"min_delay": "0s"})) as router:
        channel, calls = open_calls(router)
        with channel:
            asked = [calls.Chat.future(chat("one", max_output_tokens=5)) for _ in range(3)]
            until(lambda: router.metrics()["atp_in_flight"] == 3)
            started = time.monotonic()
            asked[1].cancel()
            until(lambda: router.metrics()["atp_in_flight"] == 2)
            assert asked[0].result().choices and asked[2].result().choices
            # Two seats' worth of waiting, not three.
            assert time.monotonic() - started < 1.6
            until(lambda: not held(router))
