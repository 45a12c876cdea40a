"""Adapters that register: replicas share load, the silent are forgotten, the replaced drain, the dead are passed over."""

import asyncio
import collections
import json
import signal
import time

import openai
import pytest

import stage
from adapting import AT_ONCE, Adapter, chat, members, post, until

SOON = {"report_every": "200ms", "silence": "1500ms"}


def router(folder, **more):
    providers = more.pop("providers", {"own": {"kind": "simulated"}})
    models = more.pop("models", {"sim-fast": {"targets": [{"provider": "own"}]}})
    settings = {"adapters": SOON, "drain": AT_ONCE, "retry": {"max_attempts": 1}} | more
    return stage.running(stage.Router(folder / "router", providers, models, **settings))


def replica(folder, router, label: str, *more: str, **settings):
    options = ["--name", "pool", "--id", label, "--router", router.url, *more]
    return stage.running(Adapter(folder, *options, log=label, **settings))


def names(router) -> list[str]:
    return [model["id"] for model in json.loads(stage.get(f"{router.base_url}/models")[1])["data"]]


def test_an_adapter_that_registers_is_asked_and_counted(tmp_path):
    with router(tmp_path) as process:
        assert post(process, chat("pool/quick"))[0] == 404
        with replica(tmp_path, process, "a"):
            until(lambda: "pool/quick" in names(process))
            assert "quick" in names(process)
            status, headers, _ = post(process, chat("pool/quick"))
            assert status == 200 and headers["x-atp-provider"] == "pool"
            assert process.metrics()["adapters_registered"] == 1
            until(lambda: process.metrics()["adapter_health_updates_total"] >= 2)
            shown = until(lambda: members(process, "pool").get("a"))
            assert shown["status"] == "healthy" and shown["adapter_type"] == "simulated"
        # It has left in order: its models are remembered for a while, out of order, then they are unknown.
        assert members(process, "pool") == {}
        assert post(process, chat("pool/quick"))[0] in (502, 503)
        until(lambda: "pool/quick" not in names(process))
        assert process.metrics()["adapters_registered"] == 0


async def test_replicas_share_load_and_one_drains(tmp_path):
    with router(tmp_path) as process, replica(tmp_path, process, "a") as first, replica(tmp_path, process, "b"):
        until(lambda: len(members(process, "pool")) == 2)
        async with openai.AsyncOpenAI(base_url=process.base_url, api_key="x", max_retries=0, timeout=40) as client:

            async def long():
                words = 0
                stream = await client.chat.completions.create(**chat("slow"), stream=True, max_tokens=60)
                async for chunk in stream:
                    words += bool(chunk.choices and chunk.choices[0].delta.content)
                return words, chunk

            streams = [asyncio.create_task(long()) for _ in range(8)]
            # Each has half of what is under way.
            await asyncio.sleep(0.8)
            loads = {name: member["in_flight"] for name, member in members(process, "pool").items()}
            assert sorted(loads.values()) == [4, 4], loads
            first.send(signal.SIGTERM)
            await asyncio.sleep(0.5)
            assert list(members(process, "pool")) == ["b"]
            assert first.child.poll() is None, "it finishes what it has"
            answers = [await client.chat.completions.create(**chat("quick")) for _ in range(5)]
            assert all(answer.choices for answer in answers)
            done = await asyncio.gather(*streams)
            assert all(words > 30 for words, _ in done), done
        until(lambda: first.child.poll() is not None)
        assert first.child.returncode == 0


def test_one_that_comes_with_a_known_id_takes_the_others_place(tmp_path):
    with router(tmp_path) as process, replica(tmp_path, process, "a"):
        until(lambda: members(process, "pool"))
        before = members(process, "pool")["a"]["endpoint"]
        options = ["--name", "pool", "--id", "a", "--router", process.url]
        with stage.running(Adapter(tmp_path, *options, log="other")) as other:
            until(lambda: members(process, "pool")["a"]["endpoint"] == other.endpoint)
            assert before != other.endpoint and len(members(process, "pool")) == 1
            assert post(process, chat("quick"))[0] == 200


def test_a_silent_one_is_passed_over_and_forgotten(tmp_path):
    with router(tmp_path) as process, replica(tmp_path, process, "a") as silent, replica(tmp_path, process, "b"):
        until(lambda: len(members(process, "pool")) == 2)
        silent.send(signal.SIGSTOP)
        # Three reports missed: nobody is sent there any more.
        until(lambda: members(process, "pool").get("a", {"silent_ms": 9999})["silent_ms"] > 700)
        time.sleep(5.2)
        took = time.monotonic()
        assert [post(process, chat("quick"))[0] for _ in range(6)] == [200] * 6
        assert time.monotonic() - took < 5
        until(lambda: list(members(process, "pool")) == ["b"], 12)
        silent.send(signal.SIGCONT)
        until(lambda: len(members(process, "pool")) == 2), "it comes back by itself"


def test_a_router_that_starts_anew_is_told_again(tmp_path):
    with router(tmp_path) as process:
        with replica(tmp_path, process, "a"):
            until(lambda: members(process, "pool"))
            process.stop()
            command = [stage.binary("ATP_BIN", "atp"), "up", "-c", str(process.config)]
            again = stage.Process(command, tmp_path / "again.log", cwd=tmp_path / "router")
            with stage.running(again):
                again.wait_for(lambda: stage.get(f"{process.url}/readyz")[0] == 200, "atp up")
                until(lambda: members(process, "pool"), 20)
                until(lambda: "pool/quick" in names(process))
                assert post(process, chat("pool/quick"))[0] == 200


def test_who_does_not_show_the_token_is_not_taken_up(tmp_path):
    key = "k" * 24
    with router(tmp_path, keys=[{"name": "app", "key": key}], adapters=SOON | {"token": "secret-of-adapters"}) as process:
        with replica(tmp_path, process, "a") as without, replica(tmp_path, process, "b", "--token", "wrong") as wrong:
            until(lambda: "adapters.token" in without.log.read_text() and "adapters.token" in wrong.log.read_text())
            with replica(tmp_path, process, "c", "--token", "secret-of-adapters"):
                until(lambda: list(members(process, "pool")) == ["c"])
                until(lambda: post(process, chat("pool/quick"), headers={"authorization": f"Bearer {key}"})[0] == 200)
        assert "secret-of-adapters" not in process.log.read_text()
    with router(tmp_path, keys=[{"name": "app", "key": key}]) as process, replica(tmp_path, process, "d") as closed:
        until(lambda: "takes up no adapters" in closed.log.read_text())
        assert members(process, "pool") == {}


def test_a_name_of_the_configuration_cannot_be_taken(tmp_path):
    with router(tmp_path) as process:
        options = ["--name", "own", "--router", process.url]
        with stage.running(Adapter(tmp_path, *options, log="taken")) as taken:
            until(lambda: "another kind" in taken.log.read_text())


async def test_a_killed_adapter_breaks_its_streams_and_the_other_serves(tmp_path):
    with router(tmp_path, retry={"max_attempts": 3}) as process, replica(tmp_path, process, "a") as doomed:
        with replica(tmp_path, process, "b"):
            until(lambda: len(members(process, "pool")) == 2)
            async with openai.AsyncOpenAI(base_url=process.base_url, api_key="x", max_retries=0, timeout=40) as client:

                async def long():
                    stream = await client.chat.completions.create(**chat("slow"), stream=True, max_tokens=40)
                    try:
                        return len([chunk async for chunk in stream])
                    except openai.APIError:
                        return "cut"

                streams = [asyncio.create_task(long()) for _ in range(4)]
                await asyncio.sleep(0.7)
                doomed.send(signal.SIGKILL)
                # Not one request fails while it is still in the list.
                for _ in range(10):
                    assert (await client.chat.completions.create(**chat("quick"))).choices
                ends = collections.Counter(end == "cut" for end in await asyncio.gather(*streams))
                assert ends == {True: 2, False: 2}
            held = {name: value for name, value in process.metrics().items() if "in_flight" in name}
            assert held and not any(held.values()), held


def test_a_hung_adapter_runs_into_the_timers(tmp_path):
    with stage.running(Adapter(tmp_path)) as hung:
        providers = {"far": {"kind": "grpc", "endpoint": hung.endpoint, "timeouts": {"first_byte": "500ms"}}}
        with router(tmp_path, providers=providers, models={"quick": {"targets": [{"provider": "far"}]}}) as process:
            assert post(process, chat("quick"))[0] == 200
            hung.send(signal.SIGSTOP)
            status, headers, _ = post(process, chat("quick"))
            assert (status, headers["x-atp-error"]) == (504, "timeout_first_byte")
            hung.send(signal.SIGCONT)
            until(lambda: post(process, chat("quick"))[0] == 200)


async def test_a_full_line_is_told_as_the_provider_tells_it(tmp_path):
    with stage.running(Adapter(tmp_path)) as busy:
        providers = {"far": {"kind": "grpc", "endpoint": busy.endpoint}}
        models = {"one-at-a-time": {"targets": [{"provider": "far", "window": {"min": 8, "start": 8, "max": 8}}]}}
        with router(tmp_path, providers=providers, models=models) as process:
            calls = [asyncio.to_thread(post, process, chat("one-at-a-time")) for _ in range(4)]
            ends = collections.Counter(status for status, _, _ in await asyncio.gather(*calls))
            assert ends[200] >= 1 and ends[429] >= 1, ends
            assert set(ends) == {200, 429}
            health = {name: value for name, value in process.metrics().items() if "in_flight" in name}
            assert not any(health.values()), health


def test_adapters_named_in_the_file_share_load_and_the_dead_are_passed_over(tmp_path):
    with stage.running(Adapter(tmp_path, log="one")) as one, stage.running(Adapter(tmp_path, log="two")) as two:
        providers = {"far": {"kind": "grpc", "endpoints": [one.endpoint, two.endpoint]}}
        with router(tmp_path, providers=providers, models={"quick": {"targets": [{"provider": "far"}]}}) as process:
            assert all(post(process, chat("quick"))[0] == 200 for _ in range(4))
            one.stop()
            assert all(post(process, chat("quick"))[0] == 200 for _ in range(10))
            two.stop()
            status, headers, answer = post(process, chat("quick"))
            assert (status, headers["x-atp-error"]) == (502, "provider_unreachable"), answer
