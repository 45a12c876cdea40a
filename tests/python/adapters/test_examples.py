"""The examples: adapters in Python and in Go of one small file each, asked through the router."""

import os
import shutil
import subprocess
import sys

import openai
import pytest

import stage
from adapting import AT_ONCE, chat, until

EXAMPLES = stage.ROOT / "adapters" / "examples"


def python_example(listen: str, folder) -> list[str]:
    return [sys.executable, str(EXAMPLES / "python" / "adapter.py"), listen]


def go_example(listen: str, folder) -> list[str]:
    if shutil.which("go") is None:
        pytest.skip("needs Go")
    subprocess.run([str(stage.ROOT / "tools" / "go-stubs"), sys.executable], check=True, timeout=600)
    built = folder / "words"
    subprocess.run(["go", "build", "-o", str(built), "."], cwd=EXAMPLES / "go", check=True, timeout=600)
    return [str(built), listen]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("example", [python_example, go_example])
def test_an_example_answers_through_the_router(tmp_path, example):
    listen = f"127.0.0.1:{stage.free_port()}"
    command = example(listen, tmp_path)
    environment = stage.environment(PYTHONPATH=os.pathsep.join([str(stage.ROOT / "proto"), os.environ.get("PYTHONPATH", "")]))
    providers = {"words": {"kind": "grpc", "endpoint": listen}}
    models = {"words": {"targets": [{"provider": "words"}]}}
    with (
        stage.running(stage.Process(command, tmp_path / "example.log", environment)),
        stage.running(stage.Router(tmp_path / "router", providers, models, drain=AT_ONCE)) as router,
        openai.OpenAI(base_url=router.base_url, api_key="x", max_retries=0, timeout=20) as client,
    ):

        def served():
            try:
                return client.chat.completions.create(**chat("words"))
            except openai.APIStatusError:
                return None

        answer = until(served, 30)
        assert answer.choices[0].message.content == "That is 5 words."
        assert answer.usage.prompt_tokens == 5
        chunks = list(client.chat.completions.create(**chat("words"), stream=True))
        said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        assert said.split() == ["That", "is", "5", "words."]


def test_the_examples_are_short():
    for path in (EXAMPLES / "python" / "adapter.py", EXAMPLES / "go" / "main.go"):
        assert len(path.read_text().splitlines()) < 60, path
