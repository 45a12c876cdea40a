"""Three models that are played by hand, and a router that chooses among them by the implicit route `auto`."""

import asyncio

import pytest

import arms
import stage

#: What `auto` is in these tests: the best that is acceptable, without a share for learning.
STEADY = {"auto": {"candidates": ["small", "middle", "large"], "strategy": "cheapest"}}


@pytest.fixture
async def provider():
    async with arms.Provider(small=arms.Arm("Small said."), middle=arms.Arm("Middle said."), large=arms.Arm("Large said.")).listening() as provider:
        yield provider


@pytest.fixture
async def router(tmp_path, provider):
    """Models of known price, quality and latency, and keys of two tenants."""
    facts = {"small": arms.SMALL, "middle": arms.MIDDLE, "large": arms.LARGE}
    keys = [arms.key("acme", qos="gold"), arms.key("other")]
    router = await asyncio.to_thread(arms.router, tmp_path / "router", provider.url, facts, keys=keys, routes=STEADY)
    with stage.running(router):
        yield router


@pytest.fixture
async def acme(router):
    async with arms.calling(router.port, arms.bearer("acme")) as caller:
        yield caller
