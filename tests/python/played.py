"""What providers that are played by hand have in common: they listen, and they end with their test."""

import asyncio
import contextlib
import json


class Played:
    """Listens at `url`. Each connection is one call of `answer`, which is ended with the listening at the latest."""

    def __init__(self):
        self.tasks = set()

    @contextlib.asynccontextmanager
    async def listening(self):
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            self.ends()
            server.close()
            for task in self.tasks:
                task.cancel()
            await asyncio.gather(*self.tasks, return_exceptions=True)

    def ends(self):
        """What is to be done before those who wait are told to end."""

    def serve(self, reader, writer):
        # A task of our own: the server's would complain about being told to end.
        task = asyncio.create_task(self.answer(reader, writer))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def answer(self, reader, writer):
        raise NotImplementedError


async def asked(reader) -> dict:
    """The body of the next request on a connection."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    return json.loads(await reader.readexactly(int(head.split("content-length: ")[1].split("\r\n")[0])))
