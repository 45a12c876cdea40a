"""docs/native.md: its examples run, and what it lists is what there is."""

import asyncio
import json
import re
import subprocess

import arms
import stage

PAGE = (stage.ROOT / "docs" / "native.md").read_text()


async def test_every_example_runs_as_written(tmp_path, provider):
    facts = {"small": arms.SMALL, "large": arms.LARGE}
    router = await asyncio.to_thread(arms.router, tmp_path / "page", provider.url, facts)
    with stage.running(router):
        async with arms.calling(router.port) as caller:
            _, head, _ = await caller.chat("auto:fast")
        plan = head["x-atp-plan"]
        assert (await arms.decision(router, plan))["result"]["model_used"] == "small"
        commands = re.findall(r"^curl .*$", PAGE, re.MULTILINE)
        assert len(commands) >= 5
        for command in commands:
            there = command.replace("http://127.0.0.1:7443", router.url).replace("req_...", plan)
            ran = await asyncio.to_thread(subprocess.run, ["bash", "-c", f"{there} -sS --fail-with-body"], capture_output=True, text=True, timeout=30)
            assert ran.returncode == 0, (command, ran.stdout, ran.stderr)
            assert [json.loads(line) for line in ran.stdout.splitlines()], command


async def test_what_the_page_says_of_an_ask_is_what_comes(acme):
    _, _, (plan, *_, last) = await acme.ask()
    for name in [*plan, *last]:
        assert f"`{name}`" in PAGE or f'"{name}"' in PAGE, name
    _, planned = await acme.told("/v1/plan", {"prompt": "Hi"})
    for name in [*planned, *planned["metadata"], *planned["candidates"][0], *planned["candidates"][0]["stats"]]:
        assert f"`{name}`" in PAGE or f'"{name}"' in PAGE, name
