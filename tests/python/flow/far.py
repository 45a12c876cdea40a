"""A provider that is played by hand, callers of the router, and what its operator reads."""

import asyncio
import contextlib
import json
import time
import urllib.error
import urllib.request

import played
import stage
import wire

USAGE = {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}
ANSWER = {
    "id": "x",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}],
    "usage": USAGE,
}

#: No load balancer has to notice that a router of these tests ends.
AT_ONCE = {"min_delay": "0s"}


CHUNKS = [{"role": "assistant", "content": "Hi."}, {}]


class Provider(played.Played):
    """Answers chat completions as it is told at the moment: `status`, after `delay` seconds, and not while it is held.

    With `capacity` it refuses what is more. With `slots` it works on so many at a time; `line` more wait, and the
    others are refused. With `late` every so many of its answers come so many seconds later than the others.
    """

    def __init__(self):
        super().__init__()
        self.status, self.delay, self.capacity = 200, 0.0, None
        self.slots, self.line, self.busy, self.freed = None, 0, 0, asyncio.Condition()
        self.late = None
        self.asked, self.open, self.most, self.left = 0, 0, 0, 0
        self.served, self.refused = 0, 0
        self.free = asyncio.Event()
        self.free.set()

    def ends(self):
        self.free.set()

    def hold(self):
        self.free.clear()

    def release(self):
        self.free.set()

    async def answer(self, reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                stream = (await played.asked(reader)).get("stream", False)
                self.asked += 1
                self.open += 1
                self.most = max(self.most, self.open)
                try:
                    status = self.status if self.has_room() else 429
                    if not await self.worked(reader, status):
                        self.left += 1
                        return
                finally:
                    self.open -= 1
                self.served += status == 200
                self.refused += status == 429
                writer.write(streamed() if stream and status == 200 else whole(status))
                await writer.drain()
        writer.close()

    def has_room(self) -> bool:
        most = self.capacity if self.slots is None else self.slots + self.line
        return most is None or self.open <= most

    async def worked(self, reader, status: int) -> bool:
        """Waits for a slot, where there are slots, and works; whether the caller is still there then."""
        if self.slots is None or status != 200:
            return await self.waited(reader, status)
        async with self.freed:
            await self.freed.wait_for(lambda: self.busy < self.slots)
            self.busy += 1
        try:
            return await self.waited(reader, status)
        finally:
            self.busy -= 1
            async with self.freed:
                self.freed.notify_all()

    async def waited(self, reader, status: int) -> bool:
        """Waits as long as it is told; whether the caller is still there then."""
        if status != 200:
            return True
        is_late = self.late is not None and self.asked % self.late[0] == 0
        await asyncio.sleep(self.delay + (self.late[1] if is_late else 0.0))
        held = asyncio.ensure_future(self.free.wait())
        # One request at a time comes over a connection: whatever arrives meanwhile is its end.
        gone = asyncio.ensure_future(reader.read(1))
        await asyncio.wait({held, gone}, return_when=asyncio.FIRST_COMPLETED)
        for waiting in (held, gone):
            waiting.cancel()
        await asyncio.gather(held, gone, return_exceptions=True)
        return not (gone.done() and not gone.cancelled())


def whole(status: int) -> bytes:
    body = json.dumps(ANSWER if status == 200 else {"error": {"message": "as told", "type": "t", "code": "c"}})
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return (head + body).encode()


def streamed() -> bytes:
    """A stream in one piece; it ends with the usage, which the router asks for."""
    reasons = [None] * (len(CHUNKS) - 1) + ["stop"]
    choices = [[{"index": 0, "delta": delta, "finish_reason": reason}] for delta, reason in zip(CHUNKS, reasons, strict=True)]
    events = [{**ANSWER, "object": "chat.completion.chunk", "choices": choice, "usage": None} for choice in choices]
    events.append({**ANSWER, "object": "chat.completion.chunk", "choices": []})
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
    return f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()


def admin(router, path: str, method: str = "GET", headers: dict | None = None) -> tuple[int, dict]:
    """Status and JSON of the admin port."""
    request = urllib.request.Request(f"{router.admin_url}{path}", method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as answer:
        return answer.code, json.loads(answer.read())


def sample(router, family: str, **labels: str) -> float:
    """The sum of a family's samples that have these labels, whatever others they have."""
    wanted = [f'{name}="{value}"' for name, value in labels.items()]
    found = {
        name: value
        for name, value in router.metrics().items()
        if name.partition("{")[0] == family and all(label in name for label in wanted)
    }
    assert found, f"no {family} with {labels}"
    return sum(found.values())


async def flow(router) -> dict:
    """What `/admin/flow` says now."""
    return (await asyncio.to_thread(admin, router, "/admin/flow"))[1]


async def waiting(router) -> int:
    return sum(sum(pool["waiting"].values()) for pool in (await flow(router))["pools"])


async def lane(router, name: str) -> dict:
    return next(lane for lane in (await flow(router))["lanes"] if lane["lane"] == name)


async def until(condition, what: str, seconds: float = 10.0):
    """Waits until the coroutine function says something true, and returns it."""
    deadline = time.monotonic() + seconds
    while not (found := await condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.02)
    return found


def headers(key: str, **more: str) -> str:
    return f"authorization: Bearer {key}\r\n" + "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in more.items())


async def ask(router, model: str, fields: str = "", stream: bool = False):
    """Status, headers and body of one request on a connection of its own."""
    connection = wire.Connection(router.port)
    try:
        return await connection.post("/v1/chat/completions", wire.chat(model, stream), fields)
    finally:
        await connection.close()


class Backlog:
    """Callers of one key who ask again as soon as they are answered."""

    def __init__(self, router, model: str, callers: int, fields: str = "", stream: bool = False):
        self.router, self.model, self.fields, self.stream = router, model, fields, stream
        self.answers: dict[int, int] = {}
        self.times: list[float] = []
        self.tasks = [asyncio.create_task(self.caller()) for _ in range(callers)]

    async def caller(self):
        connection = wire.Connection(self.router.port)
        try:
            while True:
                started = time.monotonic()
                status, _, _ = await connection.post("/v1/chat/completions", wire.chat(self.model, self.stream), self.fields)
                self.times.append(time.monotonic() - started)
                self.answers[status] = self.answers.get(status, 0) + 1
                if status != 200:
                    # Who is refused comes again a little later, as client libraries do.
                    await asyncio.sleep(0.02)
        finally:
            await connection.close()

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


def key(name: str, **more) -> dict:
    return {"name": name, "key": f"the-secret-of-{name}-0123456789"} | more


def bearer(name: str, **more: str) -> str:
    return headers(f"the-secret-of-{name}-0123456789", **more)


def keyed(folder, name: str, providers: dict, models: dict, keys: list, **more):
    """A router with keys; it ends with the `with`."""
    return stage.running(stage.Router(folder / name, providers, models, keys=keys, drain=AT_ONCE, **more))
