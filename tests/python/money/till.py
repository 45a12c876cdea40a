"""A provider that counts what it is asked for and what it writes, and a router whose keys have budgets."""

import asyncio
import contextlib
import json

import openai

import played
import stage

#: Micro-dollars per million tokens: an input token costs a thousandth of a dollar, an output token two.
PRICES = {"input": 1_000_000_000, "output": 2_000_000_000}
#: What the provider says every prompt has.
PROMPT = 10
AT_ONCE = {"min_delay": "0s"}


def cost(output: int, prompt: int = PROMPT) -> int:
    """Thousandths of a dollar."""
    return prompt + 2 * output


def usd(thousandths: int) -> float:
    return thousandths / 1_000


class Provider(played.Played):
    """Writes `tokens` tokens, an event each, or as many as it is asked for where that is less."""

    def __init__(self, tokens: int = 20, pause: float = 0.0):
        super().__init__()
        self.tokens, self.pause = tokens, pause
        #: Whether it keeps to the limit that it is asked to keep.
        self.obeys = True
        self.bodies: list[dict] = []
        self.written: list[int] = []

    async def answer(self, reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                body = await played.asked(reader)
                self.bodies.append(body)
                most = body.get("max_completion_tokens") or body.get("max_tokens") or self.tokens
                most = most if self.obeys else self.tokens
                output, finish = min(most, self.tokens), "length" if most < self.tokens else "stop"
                if body.get("stream"):
                    await self.stream(writer, output, finish)
                else:
                    await self.whole(writer, output, finish)
        writer.close()

    async def whole(self, writer, output: int, finish: str):
        await asyncio.sleep(self.pause)
        self.written.append(output)
        message = {"role": "assistant", "content": "word " * output}
        choice = {"index": 0, "message": message, "finish_reason": finish}
        body = json.dumps(envelope("chat.completion", [choice]) | {"usage": usage(output)})
        writer.write(
            f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()
        )
        await writer.drain()

    async def stream(self, writer, output: int, finish: str):
        place = len(self.written)
        self.written.append(0)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        await send(writer, chunk({"role": "assistant", "content": ""}))
        for _ in range(output):
            await send(writer, chunk({"content": "word "}))
            self.written[place] += 1
            await asyncio.sleep(self.pause)
        await send(writer, chunk({}, finish))
        await send(writer, envelope("chat.completion.chunk", []) | {"usage": usage(output)})
        await send(writer, "[DONE]")
        writer.write(b"0\r\n\r\n")
        await writer.drain()


def envelope(kind: str, choices: list) -> dict:
    return {"id": "chatcmpl-till", "object": kind, "created": 1, "model": "m", "choices": choices}


def usage(output: int) -> dict:
    return {"prompt_tokens": PROMPT, "completion_tokens": output, "total_tokens": PROMPT + output}


def chunk(delta: dict, finish: str | None = None) -> dict:
    return envelope("chat.completion.chunk", [{"index": 0, "delta": delta, "finish_reason": finish}])


async def send(writer, event):
    data = event if isinstance(event, str) else json.dumps(event)
    text = f"data: {data}\n\n".encode()
    writer.write(f"{len(text):x}\r\n".encode() + text + b"\r\n")
    await writer.drain()


def key(name: str, **more) -> dict:
    return {"name": name, "key": secret(name)} | more


def secret(name: str) -> str:
    return f"the-secret-of-{name}-0123456789"


def router(folder, provider: Provider, keys: list, **more) -> stage.Router:
    """A router in whose folder the ledger stays, so that another one there goes on where it ended."""
    models = {"m": {"targets": [{"provider": "up", "model": "m"}], "prices": PRICES}}
    models["free"] = {"targets": [{"provider": "up", "model": "free"}]}
    return stage.Router(folder, {"up": stage.openai_provider(provider.url)}, models, keys=keys, drain=AT_ONCE, **more)


@contextlib.asynccontextmanager
async def running(*args, **more):
    """The same, ended with the `async with`."""
    with stage.running(await asyncio.to_thread(router, *args, **more)) as process:
        yield process


@contextlib.asynccontextmanager
async def calling(router: stage.Router, name: str):
    """The unmodified SDK, with its own retries, on behalf of a key."""
    async with openai.AsyncOpenAI(base_url=router.base_url, api_key=secret(name), timeout=30) as client:
        yield client


def sample(router, family: str, **labels: str) -> float:
    """The sum of a family's samples that have these labels, whatever others they have."""
    wanted = [f'{name}="{value}"' for name, value in labels.items()]
    found = [
        value
        for name, value in router.metrics().items()
        if name.partition("{")[0] == family and all(label in name for label in wanted)
    ]
    assert found, f"no {family} with {labels}"
    return sum(found)


SAY = [{"role": "user", "content": "Say something."}]


async def read(client, **more) -> tuple[int, str | None]:
    """Reads a stream to its end: how many pieces had content, and why it ended."""
    pieces, finish = 0, None
    stream = await client.chat.completions.create(model="m", messages=SAY, stream=True, **more)
    async for event in stream:
        for choice in event.choices:
            pieces += bool(choice.delta.content)
            finish = choice.finish_reason or finish
    return pieces, finish
