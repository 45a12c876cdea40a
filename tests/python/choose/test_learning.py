"""Feedback moves the choice: the best model is found, a change is noticed, and what is learnt outlives a reload."""

import asyncio
import collections

import pytest

import arms
import stage

#: Three models that nobody can tell apart beforehand.
ALIKE = {name: arms.MIDDLE for name in ("small", "middle", "large")}


def routes(**more) -> dict:
    alone = {"session": False, "prefix": False}
    return {"auto": {"candidates": list(ALIKE), "sticky": alone, "weights": {"quality": 1.0}, "explore": "10%"} | more}


class Hidden:
    """Callers who know how good each model really is, and say so after each answer, with noise."""

    def __init__(self, caller, quality: dict[str, float]):
        self.caller, self.quality, self.dice = caller, quality, arms.seeded("hidden")

    async def ask(self) -> str:
        status, head, body = await self.caller.chat()
        assert status == 200, body
        model = head["x-atp-chosen-model"]
        score = min(1.0, max(0.0, self.dice.gauss(self.quality[model], 0.15)))
        status, told = await self.caller.told("/v1/feedback", {"request_id": head["x-atp-plan"], "score": score})
        assert status == 200, told
        return model

    async def run(self, requests: int) -> list[str]:
        return [await self.ask() for _ in range(requests)]


async def learning(folder, provider, **more):
    return await asyncio.to_thread(arms.router, folder, provider.url, ALIKE, routes=routes(**more))


@pytest.mark.parametrize("strategy", ["contextual", "thompson", "ucb"])
async def test_scores_lead_to_the_best_model(tmp_path, provider, strategy):
    router = await learning(tmp_path / strategy, provider, strategy=strategy)
    with stage.running(router):
        async with arms.calling(router.port) as caller:
            chosen = await Hidden(caller, {"small": 0.3, "middle": 0.55, "large": 0.9}).run(300)
            assert chosen[-100:].count("large") >= 80, {name: chosen[-100:].count(name) for name in ALIKE}
            # The plan shows what was learnt.
            _, planned = await caller.told("/v1/plan", {"prompt": "Tell me a story about a fox"})
            quality = {each["model"]: each["stats"]["quality_pred"] for each in planned["candidates"]}
            assert quality["large"] > 0.75 and quality["large"] == max(quality.values()), quality


async def test_a_model_that_changes_is_noticed_within_500_requests(tmp_path, provider):
    router = await learning(tmp_path / "swap", provider, half_life="2s")
    with stage.running(router):
        async with arms.calling(router.port) as caller:
            hidden = Hidden(caller, {"small": 0.3, "middle": 0.55, "large": 0.9})
            await hidden.run(250)
            hidden.quality = {"small": 0.9, "middle": 0.55, "large": 0.3}
            chosen = await hidden.run(500)
            assert chosen[-100:].count("small") >= 70, {name: chosen[-100:].count(name) for name in ALIKE}


async def test_comparisons_count_too(tmp_path, provider):
    router = await learning(tmp_path / "pairs", provider, explore="30%")
    with stage.running(router):
        async with arms.calling(router.port) as caller:
            last: dict[str, str] = {}
            compared = collections.Counter()
            chosen = []
            rank = {"small": 0, "middle": 1, "large": 2}
            for _ in range(400):
                _, head, _ = await caller.chat()
                model, plan = head["x-atp-chosen-model"], head["x-atp-plan"]
                chosen.append(model)
                last[model] = plan
                others = [name for name in last if rank[name] != rank[model]]
                for other in others:
                    better, worse = (model, other) if rank[model] > rank[other] else (other, model)
                    # One answer is compared with eight others at most.
                    if max(compared[plan], compared[last[other]]) >= 8:
                        continue
                    compared.update((plan, last[other]))
                    status, told = await caller.told("/v1/feedback", {"request_id": last[better], "better_than": last[worse]})
                    assert status == 200, told
            assert chosen[-100:].count("large") >= 55, {name: chosen[-100:].count(name) for name in ALIKE}


async def test_one_answer_is_compared_with_eight_others_at_most(tmp_path, provider):
    router = await learning(tmp_path / "bound", provider)
    with stage.running(router):
        async with arms.calling(router.port) as caller:
            plans = [(await caller.chat())[1]["x-atp-plan"] for _ in range(10)]
            told = [await caller.told("/v1/feedback", {"request_id": plans[0], "better_than": other}) for other in plans[1:]]
            assert [status for status, _ in told] == [200] * 8 + [422], told
            assert told[-1][1]["error"] == "validation_error" and "8 other answers" in told[-1][1]["detail"], told[-1]


async def test_what_is_learnt_outlives_a_reload(tmp_path, provider):
    router = await learning(tmp_path / "reload", provider)
    with stage.running(router):
        async with arms.calling(router.port) as caller:
            await Hidden(caller, {"small": 0.3, "middle": 0.55, "large": 0.9}).run(200)

            async def quality() -> dict:
                _, planned = await caller.told("/v1/plan", {"prompt": "Tell me a story about a fox"})
                return {each["model"]: each["stats"]["quality_pred"] for each in planned["candidates"]}

            before = await quality()
            # Other weights than before show that the file was read.
            stage.rewrite(router, lambda config: config["routes"]["auto"].update(weights={"quality": 0.9, "cost": 0.1}))
            for _ in range(200):
                _, planned = await caller.told("/v1/plan", {"prompt": "Tell me a story about a fox"})
                if planned["metadata"]["weights"]["cost"] > 0:
                    break
                await asyncio.sleep(0.05)
            assert planned["metadata"]["weights"]["cost"] > 0, planned["metadata"]
            after = await quality()
            assert all(after[name] == pytest.approx(before[name], abs=0.05) for name in ALIKE), (before, after)
