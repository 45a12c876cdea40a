"""What a request needs and a model lacks: capabilities, room, a label for the data."""

import asyncio

import arms
import stage

HI = [{"role": "user", "content": "Hi"}]


async def test_capabilities_context_and_scopes_are_hard(tmp_path, provider):
    facts = {
        "small": arms.SMALL | {"capabilities": ["streaming"], "context": 2000, "data_scopes": ["public", "internal"]},
        "middle": arms.MIDDLE | {"capabilities": ["tools", "streaming"], "context": 8000, "data_scopes": ["public"]},
        "large": arms.LARGE | {"capabilities": ["tools", "images", "json", "streaming"], "context": 100_000},
    }
    router = await asyncio.to_thread(arms.router, tmp_path / "hard", provider.url, facts)
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}

    async def planned(caller, body: dict, **headers: str) -> dict:
        status, told = await caller.told("/v1/plan", {"model": "auto:fast", "messages": HI} | body, **headers)
        assert status == 200, told
        return {candidate["model"]: candidate["dropped"] for candidate in told["candidates"]}

    with stage.running(router):
        async with arms.calling(router.port) as caller:
            told = await planned(caller, {"messages": [{"role": "user", "content": [image]}]})
            assert (told["small"], told["middle"], told["large"]) == ("capability", "capability", None)
            told = await planned(caller, {"tools": [tool]})
            assert (told["small"], told["middle"]) == ("capability", None)
            told = await planned(caller, {"messages": [{"role": "user", "content": "word " * 3000}]})
            assert (told["small"], told["middle"]) == ("context", None)
            told = await planned(caller, {}, x_atp_data_scope="internal")
            assert (told["small"], told["middle"], told["large"]) == (None, "data_scope", "data_scope")
