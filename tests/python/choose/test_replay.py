"""The log of decisions makes every choice again, to the bit."""

import asyncio
import json
import subprocess

import pytest

import arms
import stage

DECISIONS = 10_000
CALLERS = 16


@pytest.mark.timeout(400)
async def test_ten_thousand_choices_are_made_again_identically(tmp_path):
    quick = {"time_to_first_token_ms": {"constant": 0}, "tokens_per_second": {"constant": 1e6}, "output_tokens": {"constant": 5}}
    price = {"input": 100_000, "output": 400_000}
    sims = {name: quick | {"price": price} for name in ("small", "middle", "large")}
    facts = {"small": arms.SMALL, "middle": arms.MIDDLE, "large": arms.LARGE}
    router = await asyncio.to_thread(
        stage.Router,
        tmp_path / "replay",
        {"sim": {"kind": "simulated", "simulated": {"models": sims}}},
        arms.models("sim", **facts),
        drain=arms.AT_ONCE,
        routes={"auto": {"candidates": list(facts), "explore": "20%"}},
        decisions={"path": str(tmp_path / "decisions")},
        ledger={"enabled": False},
    )
    with stage.running(router):
        left = iter(range(DECISIONS))

        async def one(number: int):
            dice = arms.seeded(str(number))
            async with arms.calling(router.port) as caller:
                for place in left:
                    text = dice.choice(["Write a Rust function", "Summarize this text", "Translate to German"]) + f" {place}"
                    status, head, body = await caller.chat(f"auto:{dice.choice(['fast', 'balanced'])}", text=text)
                    assert status == 200, body
                    if place % 7 == 0:
                        await caller.told("/v1/feedback", {"request_id": head["x-atp-plan"], "score": dice.random()})

        await asyncio.gather(*(one(number) for number in range(CALLERS)))
        assert router.stop() == 0
    assert list((tmp_path / "decisions").glob("decisions-*.jsonl"))
    command = [stage.binary("ATP_BIN", "atp"), "replay", str(tmp_path / "decisions"), "--json"]
    ran = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    report = json.loads(ran.stdout)
    assert (report["decisions"], report["remade"], report["differences"]) == (DECISIONS, DECISIONS, 0), report
    assert report["identical"] is True and report["missing"] == report["skipped"] == 0, report
    assert report["lessons"] > DECISIONS, "each answer and each score is a lesson"
    # A choice that was not made so is found, and where it stands.
    [file] = (tmp_path / "decisions").glob("decisions-*.jsonl")
    lines = file.read_text().splitlines()
    place = next(place for place in range(len(lines) // 2, len(lines)) if lines[place].startswith('{"event":"decide"'))
    told = json.loads(lines[place])
    lines[place] = json.dumps(told | {"chosen": (told["chosen"] + 1) % 3})
    file.write_text("\n".join(lines) + "\n")
    ran = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=120)
    report = json.loads(ran.stdout)
    assert (ran.returncode, report["identical"], report["differences"]) == (1, False, 1), report
