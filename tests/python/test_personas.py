"""Personas, as a caller of the OpenAI SDK meets them and as the model behind them does."""

import http.server
import json
import pathlib
import subprocess
import threading
import time

import openai
import pytest

import stage

CARD, MAIL, MRN = "4111 1111 1111 1111", "jane.doe@example.com", "00123456"
TELLS = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": f"I am {MAIL}, MRN: {MRN}. My address is {MAIL}."}]
SAID = "Dear [EMAIL_1], I have read [MEDICAL_RECORD_1]; [EMAIL_2] is nobody. Bye [EMAIL_1]"
READ = f"Dear {MAIL}, I have read {MRN}; [EMAIL_2] is nobody. Bye {MAIL}"


def tool(name: str) -> dict:
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}


class Model(http.server.ThreadingHTTPServer):
    """A model played by hand: keeps what it gets, and says what it is told to, cut as it is told to."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/v1"
        threading.Thread(target=self.serve_forever, daemon=True).start()
        self.play()

    def play(self, said: str = SAID, cuts: tuple[int, ...] = (), calls: tuple[str, ...] = (), hold: float = 0.0):
        self.said, self.cuts, self.calls, self.hold = said, cuts, calls, hold
        self.raw, self.headers = [], []

    def pieces(self) -> list[str]:
        places = [0, *self.cuts, len(self.said)]
        return [self.said[start:end] for start, end in zip(places, places[1:])]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def send(self, data: bytes):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def event(self, delta, finish=None):
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        told = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "small", "choices": [choice]}
        self.send(f"data: {json.dumps(told)}\n\n".encode())

    def do_POST(self):
        model = self.server
        raw = self.rfile.read(int(self.headers["content-length"])).decode()
        model.raw.append(raw)
        model.headers.append({name.lower(): value for name, value in self.headers.items()})
        time.sleep(model.hold)
        calls = [{"id": f"t{at}", "type": "function", "function": {"name": name, "arguments": '{"to":"[EMAIL_1]"}'}} for at, name in enumerate(model.calls)]
        finish = "tool_calls" if calls else "stop"
        if not json.loads(raw).get("stream"):
            message = {"role": "assistant", "content": model.said or None} | ({"tool_calls": calls} if calls else {})
            told = {"id": "c1", "object": "chat.completion", "created": 1, "model": "small"}
            told["choices"] = [{"index": 0, "message": message, "finish_reason": finish}]
            told["usage"] = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
            body = json.dumps(told).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            return self.wfile.write(body)
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        self.event({"role": "assistant", "content": ""})
        for piece in model.pieces():
            self.event({"content": piece})
        for at, call in enumerate(calls):
            self.event({"tool_calls": [{"index": at} | call]})
        self.event({}, finish)
        self.send(b"data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")


CONFIG = """\
role: doctor
tools: [lookup]
qos_tier: bronze
compliance: [HIPAA_guard]
actions: { card: block }
"""


def persona(folder: pathlib.Path, name: str, prompt: str, config: str = CONFIG) -> None:
    home = folder / "personas" / name
    home.mkdir(parents=True, exist_ok=True)
    (home / "system_prompt.txt").write_text(prompt)
    (home / "config.yaml").write_text(config)


@pytest.fixture(scope="module")
def model():
    with Model() as server:
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def house(tmp_path_factory, model):
    folder = tmp_path_factory.mktemp("personas")
    persona(folder / "router", "doctor", "You are a doctor.")
    providers = {"docs": {"kind": "persona", "dir": "personas", "base_url": model.url, "api_key": "upstream-secret", "model": "small"}}
    models = {"docs/*": {"targets": [{"provider": "docs"}]}, "dr": {"targets": [{"provider": "docs", "model": "doctor"}]}}
    keys = [{"name": "vip", "key": "vip-key-0123456789", "qos": "gold"}]
    with stage.running(stage.Router(folder / "router", providers, models, keys=keys)) as router:
        with openai.OpenAI(base_url=router.base_url, api_key="vip-key-0123456789", max_retries=0, timeout=30) as client:
            yield router, client


@pytest.fixture
def client(house, model):
    model.play()
    return house[1]


@pytest.mark.parametrize("name", ["docs/doctor", "dr"])
def test_the_model_gets_the_prompt_and_no_personal_data_and_the_caller_gets_it_back(client, model, name):
    raw = client.chat.completions.with_raw_response.create(model=name, messages=TELLS, user=MAIL, extra_headers={"x-patient": MAIL})
    assert raw.parse().choices[0].message.content == READ
    assert raw.headers["x-atp-masked"] == "email=1, medical_record=1"
    [sent], [headers] = model.raw, model.headers
    assert MAIL not in sent and MRN not in sent and MAIL not in str(headers)
    body = json.loads(sent)
    assert body["model"] == "small" and headers["authorization"] == "Bearer upstream-secret"
    assert body["messages"] == [
        {"role": "system", "content": "You are a doctor.\n\nBe brief."},
        {"role": "user", "content": "I am [EMAIL_1], MRN: [MEDICAL_RECORD_1]. My address is [EMAIL_1]."},
    ]
    assert body["user"] == "[EMAIL_1]"


def test_a_stream_cut_at_every_place_tells_values_whole(client, model):
    for cut in range(1, len(SAID)):
        model.play(cuts=(cut,))
        chunks = client.chat.completions.create(model="dr", messages=TELLS, stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == READ, SAID[:cut]
    model.play(cuts=tuple(range(1, len(SAID))))
    with client.chat.completions.stream(model="dr", messages=TELLS) as stream:
        stream.until_done()
        final = stream.get_final_completion()
    assert (final.choices[0].message.content, final.choices[0].finish_reason) == (READ, "stop")


def test_what_is_blocked_is_refused_by_its_kind_and_never_leaves(house, client, model):
    with pytest.raises(openai.PermissionDeniedError) as refused:
        client.chat.completions.create(model="dr", messages=[{"role": "user", "content": f"Pay with {CARD}"}])
    error = refused.value
    assert (error.code, error.param) == ("policy_denied", "messages") and "`card`" in error.message and CARD not in str(error)
    assert error.response.headers["x-atp-error"] == "policy_denied" and not model.raw
    assert CARD not in house[0].log.read_text() and MAIL not in house[0].log.read_text()


def test_only_tools_on_the_list_are_offered_forced_or_called(client, model):
    model.play(said="", calls=("rm", "lookup"))
    tools = [tool("rm"), tool("lookup")]
    whole = client.chat.completions.create(model="dr", messages=TELLS, tools=tools)
    assert [offered["function"]["name"] for offered in json.loads(model.raw[-1])["tools"]] == ["lookup"]
    [call] = whole.choices[0].message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("lookup", {"to": MAIL})
    with client.chat.completions.stream(model="dr", messages=TELLS, tools=tools) as stream:
        stream.until_done()
        [call] = stream.get_final_completion().choices[0].message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("lookup", {"to": MAIL})
    asked = len(model.raw)
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="dr", messages=TELLS, tools=tools, tool_choice={"type": "function", "function": {"name": "rm"}})
    assert "`rm`" in refused.value.message and refused.value.param == "tool_choice" and len(model.raw) == asked
    model.play(said="Well.", calls=("rm",))
    whole = client.chat.completions.create(model="dr", messages=TELLS, tools=tools).choices[0]
    assert (whole.message.content, whole.message.tool_calls, whole.finish_reason) == ("Well.", None, "stop")


def test_nothing_but_chats_goes_past_a_persona(house, client, model):
    for ask in (
        lambda: client.completions.create(model="dr", prompt=MAIL),
        lambda: client.embeddings.create(model="dr", input=MAIL),
        lambda: client.with_options(base_url=f"{house[0].url}/providers/docs").post("/chat/completions", cast_to=object, body={"model": "small", "messages": TELLS}),
    ):
        with pytest.raises(openai.BadRequestError):
            ask()
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="docs/nurse", messages=TELLS)
    assert not model.raw


def test_a_gold_key_is_served_with_the_personas_tier(house, client, model):
    model.play(hold=0.5)
    asking = threading.Thread(target=lambda: client.chat.completions.create(model="dr", messages=TELLS))
    asking.start()
    try:
        deadline = time.monotonic() + 5
        seen = set()
        while not seen and time.monotonic() < deadline:
            flow = json.loads(stage.get(f"{house[0].admin_url}/admin/flow")[1])
            seen = {tenant["qos"] for tenant in flow["tenants"] if tenant["in_flight"]}
        assert seen == {"bronze"}, flow
    finally:
        asking.join()


def test_a_changed_prompt_is_in_force_without_a_restart(house, client, model):
    persona(house[0].config.parent, "doctor", "You are a surgeon.")
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        client.chat.completions.create(model="dr", messages=TELLS[1:])
        if json.loads(model.raw[-1])["messages"][0]["content"] == "You are a surgeon.":
            break
        time.sleep(0.1)
    assert json.loads(model.raw[-1])["messages"][0] == {"role": "system", "content": "You are a surgeon."}
    # One that is wrong changes nothing.
    persona(house[0].config.parent, "doctor", "You are nobody.", "role: x\nqos_tier: golden\n")
    time.sleep(1.0)
    client.chat.completions.create(model="dr", messages=TELLS[1:])
    assert json.loads(model.raw[-1])["messages"][0]["content"] == "You are a surgeon."
    assert "config.yaml:2" in house[0].log.read_text()
    persona(house[0].config.parent, "doctor", "You are a doctor.")


def test_what_is_wrong_with_a_persona_is_told_with_its_file_and_line(tmp_path):
    persona(tmp_path, "doctor", "You are a doctor.", "role: doctor\ncompliance: [PII_filters]\n")
    (tmp_path / "personas" / "nurse").mkdir()
    (tmp_path / "personas" / "nurse" / "config.yaml").write_text("role: nurse\n")
    config = tmp_path / "atp.yaml"
    config.write_text("providers:\n  s: { kind: simulated }\n  docs: { kind: persona, dir: personas, upstream: s, model: sim-fast }\n")
    check = subprocess.run([stage.binary("ATP_BIN", "atp"), "check", "-c", str(config), "--json"], capture_output=True, env=stage.environment())
    assert check.returncode != 0
    told = check.stdout.decode() + check.stderr.decode()
    for part in ("personas/doctor/config.yaml", "compliance[0]", "PII_filter", "nurse/system_prompt.txt", "providers.docs.dir"):
        assert part in told, told
