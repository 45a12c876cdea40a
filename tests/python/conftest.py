"""One upstream and one router for the whole session; clients that point at the router."""

import openai
import pytest

import stage


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("stage")


@pytest.fixture(scope="session")
def upstream(folder):
    with stage.running(stage.Upstream(folder)) as process:
        yield process


@pytest.fixture(scope="session")
def router(folder, upstream):
    providers = {"up": stage.openai_provider(upstream.url), "sim": {"kind": "simulated"}}
    sims = {name: {"targets": [{"provider": "sim", "model": name}]} for name in ("sim-fast", "sim-balanced")}
    models = {"m": {"targets": [{"provider": "up", "model": "m"}]}} | sims | stage.scripted()
    with stage.running(stage.Router(folder / "router", providers, models, retry=stage.UNBOUNDED)) as process:
        yield process


@pytest.fixture(scope="session")
def client(router):
    with openai.OpenAI(base_url=router.base_url, api_key="none-needed", max_retries=0, timeout=30) as client:
        yield client


@pytest.fixture(scope="session")
async def async_client(router):
    async with openai.AsyncOpenAI(base_url=router.base_url, api_key="none-needed", max_retries=0, timeout=30) as client:
        yield client


@pytest.fixture
def seen(upstream):
    """What the upstream saw during this test."""
    upstream.reset()
    return upstream


def user(text: str) -> list[dict]:
    return [{"role": "user", "content": text}]


@pytest.fixture(scope="session", name="user")
def user_messages():
    return user
