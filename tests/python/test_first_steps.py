"""What a newcomer does: start without a file, paste the printed line, ask from the shell; and what the pages show."""

import json
import os
import re
import shlex
import shutil
import subprocess

import pytest

import stage
from certificates import Authority


def atp(*arguments: str, env: dict[str, str] | None = None, cwd=None) -> subprocess.CompletedProcess:
    command = [stage.binary("ATP_BIN", "atp"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=env or stage.environment(), cwd=cwd)


class Bare(stage.Process):
    """`atp up` as it stands, on other ports."""

    def __init__(self, folder, **env: str):
        self.port = stage.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        ports = {"ROUTER_PORT": str(self.port), "ROUTER_ADMIN_PORT": str(stage.free_port())}
        super().__init__([stage.binary("ATP_BIN", "atp"), "up"], folder / "bare.log", stage.environment(**ports, **env), folder)
        self.wait_for(lambda: stage.get(f"{self.url}/readyz")[0] == 200, "atp up")


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    with stage.running(Bare(tmp_path_factory.mktemp("bare"))) as process:
        yield process


def test_the_printed_line_works_when_pasted(bare):
    [line] = [line.strip() for line in bare.log.read_text().splitlines() if line.strip().startswith("curl ")]
    answer = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=30, check=True).stdout
    assert answer.rstrip().endswith("data: [DONE]")
    assert '"content"' in answer


def test_the_simulated_models_are_named_and_served(bare):
    printed = bare.log.read_text()
    served = [model["id"] for model in json.loads(stage.get(f"{bare.url}/v1/models")[1])["data"]]
    assert served == ["sim-fast", "sim-balanced", "sim-high"]
    assert all(name in printed for name in (*served, str(bare.port)))


def test_asking_from_the_shell_streams_and_tells(bare):
    done = atp("ask", "--url", bare.url, "-m", "sim-fast", "Why are bridges arched?")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.strip()) > 20
    told = done.stdout + done.stderr
    assert "sim-fast" in told and "token" in told


def test_models_are_listed_for_programs(bare):
    done = atp("models", "--url", bare.url, "--json")
    assert "sim-balanced" in [model["id"] for model in json.loads(done.stdout)["data"]]


def test_a_second_router_on_the_same_port_says_so(bare, tmp_path):
    env = stage.environment(ROUTER_PORT=str(bare.port), ROUTER_ADMIN_PORT=str(stage.free_port()))
    done = atp("up", env=env, cwd=tmp_path)
    assert done.returncode != 0
    assert str(bare.port) in done.stderr and "use" in done.stderr.lower()


def test_a_local_model_comes_first(tmp_path, upstream):
    env = {"ATP_LOCAL_MODEL_URL": f"{upstream.url}/v1", "ATP_LOCAL_MODEL_NAME": "fast"}
    with stage.running(Bare(tmp_path, **env)) as process:
        assert json.loads(stage.get(f"{process.url}/v1/models")[1])["data"][0]["id"] == "fast"


def test_a_wrong_file_is_explained_with_its_place(tmp_path):
    wrong = tmp_path / "atp.yaml"
    wrong.write_text("providers:\n  up: { kind: openai, base_url: 'http://127.0.0.1:9/v1' }\nmodels:\n  m:\n    targts: []\n")
    done = atp("check", "-c", str(wrong))
    assert done.returncode == 2
    said = done.stdout + done.stderr
    assert re.search(r"atp\.yaml:5:5", said), said
    assert "targts" in said and "targets" in said


def examples() -> list[tuple[str, str]]:
    """Every YAML block of the pages that is a whole configuration."""
    pages = [stage.ROOT / "README.md", *sorted((stage.ROOT / "docs").glob("*.md"))]
    found = [
        (f"{page.name}#{number}", block)
        for page in pages
        for number, block in enumerate(re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL))
    ]
    return [(name, block) for name, block in found if "providers:" in block and "models:" in block]


def beside(folder, block: str) -> None:
    """The files that a configuration names."""
    if "dir: personas" in block:
        (folder / "personas").symlink_to(stage.ROOT / "adapters" / "personas")
    authorities = re.findall(r"ca_file: (\S+\.pem)", block)
    if authorities:
        authority = Authority(folder, "any")
        for file in authorities:
            shutil.copy(authority.ca, folder / file)
        for cert, key in re.findall(r"cert_file: (\S+\.pem),\s*key_file: ([\w.-]+)", block):
            authority.sign(folder / cert, folder / key)


@pytest.mark.parametrize(("name", "block"), examples())
def test_configurations_on_the_pages_are_valid(tmp_path, name, block):
    path = tmp_path / "atp.yaml"
    path.write_text(block)
    beside(tmp_path, block)
    variables = re.findall(r"\$\{(\w+)\}|env: (\w+)", block)
    # Each its own: two callers may not share a secret.
    named = {name: f"a-key-of-some-length-for-{name}" for name in map("".join, variables)}
    env = stage.environment(**({"GROQ_API_KEY": "a-key-of-some-length"} | named))
    done = atp("check", "-c", str(path), env=env)
    assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"


def test_commands_on_the_pages_exist():
    page = (stage.ROOT / "README.md").read_text()
    helped = atp("--help").stdout
    for line in re.findall(r"^atp ([a-z]+)", page, re.MULTILINE):
        assert re.search(rf"^  {line} ", helped, re.MULTILINE), line
    makefile = (stage.ROOT / "Makefile").read_text()
    for target in set(re.findall(r"`?make ([a-z-]+)", page)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_page_links_to_what_exists():
    for page in [*stage.ROOT.glob("*.md"), *(stage.ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert os.path.exists(page.parent / link), f"{page.name}: {link}"


def test_the_schema_is_json():
    assert json.loads(atp("schema").stdout)["type"] == "object"
    assert shlex.split(atp("version").stdout)[0] == "atp"
