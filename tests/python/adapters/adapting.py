"""Adapters as processes, and routers that ask them."""

import json
import pathlib
import sys
import time
import urllib.error
import urllib.request

import grpc

import stage

PROTO = stage.ROOT / "proto"

#: No load balancer has to notice that a router of these tests ends.
AT_ONCE = {"min_delay": "0s"}

#: Simulated models that are quick, slow, and busy.
MODELS = {
    "quick": {"time_to_first_token_ms": 1, "tokens_per_second": 2000, "price": {"input": 1_000_000, "output": 2_000_000}},
    "slow": {"time_to_first_token_ms": 5, "tokens_per_second": 20, "output_tokens": 400},
    "one-at-a-time": {"time_to_first_token_ms": 200, "capacity": 1, "queue_len": 0, "output_tokens": 20},
}


class Adapter(stage.Process):
    """`atp adapter`, simulated unless told otherwise."""

    def __init__(self, folder: pathlib.Path, *more: str, kind: str = "simulated", listen: str | None = None, fields=None, log="adapter"):
        folder.mkdir(parents=True, exist_ok=True)
        self.listen = listen or f"127.0.0.1:{stage.free_port()}"
        command = [stage.binary("ATP_BIN", "atp"), "adapter", kind, "--listen", self.listen]
        if fields is None and kind == "simulated":
            fields = {"simulated": {"seed": 1, "models": MODELS}}
        for name, value in (fields or {}).items():
            command += ["--set", f"{name}={json.dumps(value)}"]
        super().__init__([*command, *more], folder / f"{log}.log")
        self.wait_for(lambda: "listens on" in self.log.read_text(), "atp adapter")

    @property
    def endpoint(self) -> str:
        return self.listen if self.listen.startswith("unix:") else f"http://{self.listen}"


def load(file: str, folder: pathlib.Path = PROTO):
    """Messages and stubs of a protocol file, compiled on the spot."""
    sys.path.insert(0, str(folder))
    try:
        return grpc.protos_and_services(file)
    finally:
        sys.path.remove(str(folder))


def shown(router) -> list[dict]:
    return json.loads(stage.get(f"{router.admin_url}/admin/adapters")[1])


def members(router, name: str) -> dict[str, dict]:
    """Who has registered under a name, by id."""
    groups = [group for group in shown(router) if group["name"] == name]
    return {member["adapter_id"]: member for group in groups for member in group["registered"]}


def until(holds, seconds: float = 10.0):
    """Waits until something holds, and gives it."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.02)
    return found


def post(router, body: dict, path: str = "/chat/completions", headers: dict | None = None):
    """Status, headers and JSON of a plain request."""
    request = urllib.request.Request(
        f"{router.base_url}{path}",
        json.dumps(body).encode(),
        {"content-type": "application/json", **(headers or {})},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers, json.loads(answer.read())
    except urllib.error.HTTPError as answer:
        return answer.code, answer.headers, json.loads(answer.read())


def chat(model: str, **more) -> dict:
    return {"model": model, "messages": [{"role": "user", "content": "How do rivers shape valleys?"}], **more}
