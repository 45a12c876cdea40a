"""`atp ask` of a route, and `atp plan`."""

import asyncio
import json
import subprocess

import arms
import stage


async def atp(router, *arguments: str) -> subprocess.CompletedProcess:
    command = [stage.binary("ATP_BIN", "atp"), *arguments, "--url", router.url, "--key", arms.secret("acme")]
    return await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=30, env=stage.environment())


async def test_ask_tells_whom_the_router_chose(router):
    ran = await atp(router, "ask", "-m", "auto:high", "Hello")
    assert (ran.returncode, ran.stdout) == (0, "Large said.\n"), ran.stderr
    assert ran.stderr.startswith("auto:high chose large · up · ")
    told = json.loads((await atp(router, "ask", "-m", "auto", "Hello", "--json")).stdout)
    assert (told["answer"], told["chosen_model"]) == ("Middle said.", "middle")
    assert arms.read(router, f"/v1/decisions/{told['plan']}", arms.bearer("acme"))[0] == 200


async def test_plan_shows_a_table_and_asks_nobody(router, provider):
    ran = await atp(router, "plan", "Hello", "--quality", "balanced")
    assert ran.returncode == 0, ran.stderr
    head, first, second, dropped, _, why, _ = ran.stdout.splitlines()
    assert head.split() == ["MODEL", "QUALITY", "USD/1K", "P95", "SCORE", "CHANCE", "DROPPED"]
    assert [line.split()[:2] for line in (first, second)] == [["1", "middle"], ["2", "large"]]
    assert (dropped.split()[0], dropped.split()[-1]) == ("small", "quality")
    assert why.startswith("middle would answer: ")
    told = json.loads((await atp(router, "plan", "Hello", "--json")).stdout)
    assert told["selected_model"] == "middle"
    assert sum(provider.asked().values()) == 0


async def test_a_refusal_says_what_the_router_said(router):
    ran = await atp(router, "plan", "Hello", "--quality", "best")
    assert ran.returncode != 0 and "`quality` is \"best\"; it takes fast, balanced or high" in ran.stderr
