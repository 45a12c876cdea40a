"""Kinds of adapters that are not simulated, each as a process of its own."""

import json
import re
import subprocess

import stage
from adapting import AT_ONCE, Adapter, chat, post


def test_a_persona_speaks_and_masks_in_a_process_of_its_own(tmp_path, seen):
    fields = {"dir": str(stage.ROOT / "adapters" / "personas"), "base_url": f"{seen.url}/v1", "model": "fast"}
    with stage.running(Adapter(tmp_path, kind="persona", fields=fields)) as persona:
        assert "doctor-advisor" in persona.log.read_text()
        providers = {"docs": {"kind": "grpc", "endpoint": persona.endpoint}}
        models = {"docs/*": {"targets": [{"provider": "docs"}]}}
        with stage.running(stage.Router(tmp_path / "router", providers, models, drain=AT_ONCE)) as router:
            asked = chat("docs/doctor-advisor") | {"messages": [{"role": "user", "content": "I am jo@example.com."}]}
            assert post(router, asked)[0] == 200
    sent = json.loads(seen.requests()[-1]["body"])
    assert sent["model"] == "fast" and sent["messages"][0]["role"] == "system"
    assert "jo@example.com" not in json.dumps(sent)
    # Numbers begin behind those that the persona's own prompt speaks of.
    assert re.fullmatch(r"I am \[EMAIL_\d\]\.", sent["messages"][-1]["content"])


def test_a_build_without_models_says_with_what_to_build(tmp_path):
    command = [stage.binary("ATP_BIN", "atp"), "adapter", "local", "--model", str(tmp_path / "m.gguf")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1 and "--features local" in done.stderr
