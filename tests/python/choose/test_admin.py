"""What operators see of choosing and of money on the admin port, and what they may change there."""

import asyncio
import json
import urllib.error
import urllib.request

import arms
import stage


def admin(router, path: str, method: str = "GET") -> tuple[int, dict]:
    request = urllib.request.Request(f"{router.admin_url}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as answer:
        return answer.code, json.loads(answer.read())


async def told(router, path: str) -> dict:
    status, body = await asyncio.to_thread(admin, router, path)
    assert status == 200, body
    return body


async def observations(router, query: str, count: int) -> list[dict]:
    """The newest observations, once there are so many: lines are written beside the answers."""
    for _ in range(200):
        found = (await told(router, f"/admin/observations{query}"))["observations"]
        if len(found) >= count:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"{query}: {found}")


async def test_arms_models_and_kinds_of_work_are_told(router, acme):
    for _ in range(3):
        _, head, _ = await acme.chat()
    await arms.decision(router, head["x-atp-plan"], arms.bearer("acme"))
    rows = (await told(router, "/admin/arms"))["arms"]
    asked = [row for row in rows if row["pulls"] > 2.9]
    assert [(row["route"], row["model"]) for row in asked] == [("auto", "middle")], rows
    low, high = asked[0]["interval"]
    assert 0 <= low <= asked[0]["quality"] <= high <= 1 and asked[0]["reliability"] > 0.5
    models = {row["model"]: row for row in (await told(router, "/admin/model_status"))["models"]}
    assert list(models) == ["small", "middle", "large"]
    assert (models["large"]["status"], models["large"]["healthy"], models["large"]["quality"]) == ("active", True, 0.95)
    kinds = (await told(router, "/admin/cluster_stats"))["clusters"]
    assert [(kind["route"], kind["most"]) for kind in kinds] == [("auto", "middle")]


async def test_observations_have_the_form_that_is_told(router, acme):
    await acme.chat()
    await acme.chat("auto:high")
    lines = await observations(router, "?limit=10", 2)
    form = await told(router, "/admin/observation_schema")
    for line in lines:
        assert set(form["required"]) <= set(line) <= set(form["properties"]), line
        assert line["schema_version"] == form["properties"]["schema_version"]["const"]
        assert line["outcome"] in form["properties"]["outcome"]["enum"] and line["phase"] in form["properties"]["phase"]["enum"]
    assert [line["primary_model"] for line in lines] == ["large", "middle"]
    assert [line["primary_model"] for line in await observations(router, "?model=middle", 1)] == ["middle"]
    assert await observations(router, "?offset=1&limit=1", 1) == [lines[1]]
    assert (await told(router, "/admin/observations?cluster=nothing"))["observations"] == []


async def test_a_pinned_model_stays_where_it_is_put(router, acme):
    status, life = await asyncio.to_thread(admin, router, "/admin/lifecycle/pin?model=middle&status=retired", "POST")
    assert (status, life["status"], life["configured"], life["pinned"]) == (200, "retired", "active", True)
    _, head, _ = await acme.chat()
    assert head["x-atp-chosen-model"] == "large"
    lives = {row["model"]: row["status"] for row in (await told(router, "/admin/lifecycle"))["models"]}
    assert lives == {"small": "active", "middle": "retired", "large": "active"}
    status, life = await asyncio.to_thread(admin, router, "/admin/lifecycle/unpin?model=middle", "POST")
    # Evidence decides again, from where it stood before: what the configuration says.
    assert (status, life["pinned"], life["status"]) == (200, False, "active")
    status, life = await asyncio.to_thread(admin, router, "/admin/lifecycle/pin?model=middle&status=active", "POST")
    assert (status, life["status"]) == (200, "active")
    _, head, _ = await acme.chat()
    assert head["x-atp-chosen-model"] == "middle"
    for path, code in (("pin?model=midle&status=active", "not_found"), ("unpin?model=large", "not_found"), ("pin?model=middle&status=gone", "validation_error")):
        _, error = await asyncio.to_thread(admin, router, f"/admin/lifecycle/{path}", "POST")
        assert error["error"] == code, (path, error)


async def test_budgets_are_told_by_whose_they_are(tmp_path, provider):
    facts = {"small": arms.SMALL, "middle": arms.MIDDLE, "large": arms.LARGE}
    keys = [arms.key("acme", tenant="shop", budget=[{"usd": 5.0, "per": "day"}, {"tokens": 100000, "per": "minute"}])]
    more = {"keys": keys, "tenants": {"shop": {"budget": {"usd": 9, "per": "month"}}}}
    router = await asyncio.to_thread(arms.router, tmp_path / "router", provider.url, facts, **more)
    with stage.running(router):
        async with arms.calling(router.port, arms.bearer("acme")) as caller:
            _, head, _ = await caller.chat("middle")
            await arms.row(router, head["x-request-id"])
        rows = (await told(router, "/admin/budgets"))["budgets"]
        assert [(row["whose"], row["name"], row["per"]) for row in rows] == [("key", "acme", "day"), ("key", "acme", "minute"), ("tenant", "shop", "month")]
        day, _, month = rows
        assert day["limit"] == {"usd": 5.0, "tokens": None} and 0 < day["spent"]["usd"] < 0.01
        assert abs(day["limit"]["usd"] - day["spent"]["usd"] - day["remaining"]["usd"]) < 1e-9
        assert day["reserved"] == {"usd": 0.0, "tokens": 0} and day["resets_at"].endswith("T00:00:00Z")
        assert month["spent"] == day["spent"]


async def test_a_reload_takes_over_routes_and_what_is_known_of_models(router, acme):
    _, head, _ = await acme.chat()
    assert head["x-atp-chosen-model"] == "middle"

    def change(config):
        config["models"]["small"]["quality"] = 0.9
        config["routes"]["second"] = {"candidates": ["large"]}

    stage.rewrite(router, change)
    for _ in range(200):
        _, head, _ = await acme.chat()
        if head["x-atp-chosen-model"] == "small":
            break
        await asyncio.sleep(0.05)
    assert head["x-atp-chosen-model"] == "small"
    _, head, _ = await acme.chat("second")
    assert head["x-atp-chosen-model"] == "large"
    known = await told(router, "/admin/models")
    assert [route["name"] for route in known["routes"]] == ["auto", "second"]
    assert known["models"][0]["quality"] == 0.9
