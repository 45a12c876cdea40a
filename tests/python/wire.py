"""A caller who knows just enough HTTP/1.1 to be exact about connections, and quick enough for load."""

import asyncio
import json
import time


class Refused(Exception):
    """Nobody listens, or the connection was closed before a new request was sent on it."""


class Connection:
    """One kept connection that is opened when needed."""

    def __init__(self, port: int):
        self.port = port
        self.reader = self.writer = None

    async def post(self, path: str, body: bytes, headers: str = "") -> tuple[int, dict[str, str], bytes]:
        """Status, headers, body. Raises Refused where no connection can be made; any other failure is one."""
        if self.writer is None:
            try:
                self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError as error:
                raise Refused from error
        head = f"POST {path} HTTP/1.1\r\nhost: router\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        self.writer.write(f"{head}{headers}\r\n".encode() + body)
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ")[1])
        got = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
        content = await (self.chunked() if "transfer-encoding" in got else self.reader.readexactly(int(got["content-length"])))
        if got.get("connection", "").lower() == "close":
            await self.close()
        return status, got, content

    async def chunked(self) -> bytes:
        content = b""
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            content += (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readexactly(2)
        return content

    async def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
            self.reader = self.writer = None


def chat(model: str, stream: bool = False) -> bytes:
    return json.dumps({"model": model, "stream": stream, "messages": [{"role": "user", "content": "Hello"}]}).encode()


class Load:
    """Callers that ask without pause until told to stop, or until nobody listens any more."""

    def __init__(self, port: int, callers: int = 16, models=("fast", "stream8")):
        self.port, self.callers, self.models = port, callers, models
        self.served, self.failures, self.stopped = 0, [], False

    async def caller(self, number: int) -> None:
        connection = Connection(self.port)
        model = self.models[number % len(self.models)]
        body = chat(model, stream=model.startswith("stream"))
        while not self.stopped:
            try:
                status, _, content = await connection.post("/v1/chat/completions", body)
            except Refused:
                break
            except Exception as error:
                self.failures.append(f"{model}: {error!r}")
                await connection.close()
                continue
            complete = content.endswith(b"data: [DONE]\n\n") if model.startswith("stream") else content.endswith(b"}")
            if status == 200 and complete:
                self.served += 1
            else:
                self.failures.append(f"{model}: {status} {content[-200:]!r}")
        await connection.close()

    async def run(self, seconds: float | None = None, requests: int | None = None) -> None:
        """Asks for so long, or so often, or until the router is gone."""
        callers = [asyncio.create_task(self.caller(number)) for number in range(self.callers)]
        started = time.monotonic()
        while not all(caller.done() for caller in callers):
            await asyncio.sleep(0.02)
            late = seconds is not None and time.monotonic() - started >= seconds
            enough = requests is not None and self.served + len(self.failures) >= requests
            self.stopped = self.stopped or late or enough
        await asyncio.gather(*callers)
