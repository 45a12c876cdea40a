"""What an ask is told where there is no room: rates, queues, budgets, and a router that ends."""

import asyncio
import json
import signal

import arms
import stage

FACTS = {"small": arms.SMALL, "middle": arms.MIDDLE, "large": arms.LARGE}
ONE = {"min": 1, "start": 1, "max": 1}


async def test_a_rate_that_is_used_up_says_when_to_come_again(tmp_path, provider):
    keys = [arms.key("acme", rps_limit={"rate": 0.01, "burst": 2})]
    router = await asyncio.to_thread(arms.router, tmp_path / "rate", provider.url, FACTS, keys=keys)
    with stage.running(router):
        async with arms.calling(router.port, arms.bearer("acme")) as caller:
            answers = [await caller.ask() for _ in range(3)]
            assert [status for status, _, _ in answers] == [200, 200, 429]
            _, head, [told] = answers[-1]
            assert (told["error"], head["x-atp-error"]) == ("rate_limited", "rate_limited")
            assert int(head["retry-after"]) > 60
            # What is told of answers counts like any request: nobody moves a route by a flood of scores.
            status, told = await caller.told("/v1/feedback", {"request_id": answers[0][1]["x-atp-plan"], "score": 1})
            assert (status, told["error"]) == (429, "rate_limited"), told


async def test_a_queue_without_room_is_backpressure(tmp_path, provider):
    provider.arms["small"].delay = 5.0
    target = {"targets": [{"provider": "up", "model": "small", "window": ONE}], "queue": {"max_waiting": 0}}
    router = await asyncio.to_thread(arms.router, tmp_path / "queue", provider.url, {"small": arms.SMALL | target})
    with stage.running(router):
        async with arms.calling(router.port) as first, arms.calling(router.port) as second:
            held = asyncio.create_task(first.ask(model="small"))
            while not provider.arms["small"].asked:
                await asyncio.sleep(0.02)
            status, head, [told] = await second.ask(model="small")
            assert (status, told["error"], head["x-atp-error"]) == (429, "backpressure", "backpressure"), told
            assert not told["detail"].startswith("budget_denied") and int(head["retry-after"]) >= 1
            held.cancel()
            await asyncio.gather(held, return_exceptions=True)


async def test_a_budget_that_is_spent_is_backpressure_by_another_name(tmp_path, provider):
    keys = [arms.key("acme", budget={"tokens": 1500, "per": "day"})]
    router = await asyncio.to_thread(arms.router, tmp_path / "budget", provider.url, FACTS, keys=keys)
    with stage.running(router):
        async with arms.calling(router.port, arms.bearer("acme")) as caller:
            for _ in range(200):
                status, head, messages = await caller.ask(max_tokens=20)
                if status != 200:
                    break
            assert (status, messages[0]["error"], head["x-atp-error"]) == (429, "backpressure", "backpressure"), messages
            assert messages[0]["detail"].startswith("budget_denied: ") and head["x-should-retry"] == "false"
            assert sum(provider.asked().values()) * 30 <= 1500


async def test_an_answer_that_the_routers_end_cuts_has_no_last_message(tmp_path, provider):
    """Nobody takes half an answer for a whole one: neither its last message nor its last chunk comes."""
    provider.arms["small"].pace = 3.0
    drain = {"min_delay": "0s", "grace": "300ms"}
    up = {"up": stage.openai_provider(provider.url)}
    router = await asyncio.to_thread(stage.Router, tmp_path / "ends", up, arms.models(**FACTS), drain=drain)
    with stage.running(router):
        reader, writer = await asyncio.open_connection("127.0.0.1", router.port)
        body = json.dumps({"prompt": "Hi", "model": "small"}).encode()
        writer.write(b"POST /v1/ask HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        await reader.readuntil(b'"type":"chunk"')
        router.send(signal.SIGTERM)
        rest = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        assert b'"final"' not in rest and not rest.endswith(b"0\r\n\r\n"), rest
