"""Models that are played by hand, each as it is told: how soon, how long, how well; and callers of a router that chooses among them."""

import asyncio
import contextlib
import json
import random
import urllib.error
import urllib.request

import played
import stage
import wire

#: No load balancer has to notice that a router of these tests ends.
AT_ONCE = {"min_delay": "0s"}

#: What the three models of these tests are said to be. Prices in micro-dollars per million tokens.
SMALL = {"quality": 0.65, "latency_p95_ms": 300, "prices": {"input": 100_000, "output": 400_000}}
MIDDLE = {"quality": 0.80, "latency_p95_ms": 900, "prices": {"input": 1_000_000, "output": 4_000_000}}
LARGE = {"quality": 0.95, "latency_p95_ms": 1900, "prices": {"input": 5_000_000, "output": 20_000_000}}


class Arm:
    """One model: its answer, its delay and the pause between the pieces of a stream in seconds, and a status for when it fails."""

    def __init__(self, text: str = "Well said.", delay: float = 0.0, pace: float = 0.0, status: int = 200, tokens: int = 20):
        self.text, self.delay, self.pace, self.status, self.tokens = text, delay, pace, status, tokens
        self.asked, self.left, self.bodies = 0, 0, []


class Provider(played.Played):
    """Speaks OpenAI's dialect for as many models as it was given."""

    def __init__(self, **arms: Arm):
        super().__init__()
        self.arms = arms

    def asked(self) -> dict[str, int]:
        return {name: arm.asked for name, arm in self.arms.items()}

    async def answer(self, reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                body = await played.asked(reader)
                arm = self.arms[body["model"]]
                arm.asked += 1
                arm.bodies.append(body)
                if arm.delay and not await self.waited(reader, arm):
                    return
                await self.reply(writer, arm, body)
        writer.close()

    async def waited(self, reader, arm: Arm) -> bool:
        """Waits; whether the caller is still there then."""
        # One request at a time comes over a connection: whatever arrives meanwhile is its end.
        gone = asyncio.ensure_future(reader.read(1))
        await asyncio.wait({gone}, timeout=arm.delay)
        if gone.done():
            arm.left += 1
            return False
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        return True

    async def reply(self, writer, arm: Arm, body: dict):
        usage = {"prompt_tokens": 10, "completion_tokens": arm.tokens, "total_tokens": 10 + arm.tokens}
        base = {"id": "x", "created": 1, "model": body["model"]}
        if arm.status != 200:
            text = json.dumps({"error": {"message": "as told", "type": "server_error", "code": "as_told", "param": None}})
            writer.write(f"HTTP/1.1 {arm.status} X\r\ncontent-type: application/json\r\ncontent-length: {len(text)}\r\n\r\n{text}".encode())
        elif body.get("stream"):
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
            half = len(arm.text) // 2
            deltas = [{"role": "assistant", "content": ""}, {"content": arm.text[:half]}, {"content": arm.text[half:]}]
            chunks = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
            chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
            if (body.get("stream_options") or {}).get("include_usage"):
                chunks.append({"choices": [], "usage": usage})
            events = [f"data: {json.dumps(base | {'object': 'chat.completion.chunk'} | chunk)}\n\n" for chunk in chunks]
            for event in [*events, "data: [DONE]\n\n"]:
                writer.write(f"{len(event.encode()):x}\r\n{event}\r\n".encode())
                await writer.drain()
                await asyncio.sleep(arm.pace)
            writer.write(b"0\r\n\r\n")
        else:
            message = {"role": "assistant", "content": arm.text}
            whole = base | {"object": "chat.completion", "usage": usage}
            whole |= {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
            text = json.dumps(whole)
            writer.write(
                f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(text.encode())}\r\n\r\n{text}".encode()
            )
        await writer.drain()


def key(name: str, **more) -> dict:
    return {"name": name, "key": secret(name)} | more


def secret(name: str) -> str:
    return f"the-secret-of-{name}-0123456789"


def bearer(name: str, **more: str) -> dict:
    return {"authorization": f"Bearer {secret(name)}"} | {each.replace("_", "-"): value for each, value in more.items()}


def models(provider: str = "up", **facts: dict) -> dict:
    """A model for each name, with these facts, served by the provider's model of the same name."""
    return {name: {"targets": [{"provider": provider, "model": name}]} | each for name, each in facts.items()}


def router(folder, url: str, facts: dict, **more) -> stage.Router:
    providers = {"up": stage.openai_provider(url)}
    return stage.Router(folder, providers, models(**facts), drain=AT_ONCE, **more)


class Caller:
    """One kept connection to a router."""

    def __init__(self, port: int, headers: dict | None = None):
        self.connection, self.headers = wire.Connection(port), headers or {}

    async def post(self, path: str, body: dict | bytes, **headers: str) -> tuple[int, dict, bytes]:
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        fields = self.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            return await self.connection.post(path, body, "".join(f"{name}: {value}\r\n" for name, value in fields.items()))
        except BaseException:
            await self.connection.close()
            raise

    async def chat(self, model: str = "auto", text: str = "Tell me a story about a fox", **headers: str) -> tuple[int, dict, bytes]:
        return await self.post("/v1/chat/completions", {"model": model, "messages": [{"role": "user", "content": text}]}, **headers)

    async def ask(self, prompt: str = "Tell me a story about a fox", headers: dict | None = None, **fields) -> tuple[int, dict, list[dict]]:
        """The messages of an ask, or its error as the only one."""
        status, head, body = await self.post("/v1/ask", {"prompt": prompt} | fields, **(headers or {}))
        return status, head, [json.loads(line) for line in body.decode().splitlines()]

    async def told(self, path: str, body: dict, **headers: str) -> tuple[int, dict]:
        status, _, answer = await self.post(path, body, **headers)
        return status, json.loads(answer)

    async def close(self):
        await self.connection.close()


@contextlib.asynccontextmanager
async def calling(port: int, headers: dict | None = None):
    caller = Caller(port, headers)
    try:
        yield caller
    finally:
        await caller.close()


def read(router, path: str, headers: dict | None = None) -> tuple[int, dict]:
    """Status and JSON of a GET."""
    request = urllib.request.Request(f"{router.url}{path}", headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as answer:
        return answer.code, json.loads(answer.read())


async def decision(router, plan: str, headers: dict | None = None) -> dict:
    """A decision whose answer has come to its end: the last bytes of an answer may overtake its books."""
    for _ in range(200):
        status, told = await asyncio.to_thread(read, router, f"/v1/decisions/{plan}", headers)
        assert status == 200, told
        if told["result"] is not None:
            return told
        await asyncio.sleep(0.02)
    raise AssertionError(f"{plan} has no result")


def usage(router, limit: int = 1000) -> list[dict]:
    """The newest usage rows that have been written."""
    return json.loads(stage.get(f"{router.admin_url}/admin/usage?limit={limit}")[1])["rows"]


async def row(router, request: str) -> dict:
    """The usage row of a request: it is written beside its answer."""
    for _ in range(200):
        for found in await asyncio.to_thread(usage, router):
            if found["id"] == request:
                return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"{request} is not in the books")


def seeded(name: str) -> random.Random:
    return random.Random(name)
