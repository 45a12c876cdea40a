#!/usr/bin/env python3
"""Serves the small real model on loopback, OpenAI's API, until the process that started it ends.

Prints the base URL as the first and only line once the model answers. The server's own log goes to
`--log`. It leads its own session, so that a Ctrl-C meant for the gateway does not cut the streams that
the gateway is draining; it ends by SIGTERM, by SIGINT, or with its parent.
"""

import argparse
import ctypes
import json
import os
import pathlib
import signal
import sys
import threading
import time
import urllib.request

import fetch

PR_SET_PDEATHSIG = 1

# The model's own template with a plainer default system prompt: with the shipped one ("named SmolLM,
# trained by Hugging Face") this quantisation answers a first question about a capital with a song.
TEMPLATE = """\
{%- for message in messages -%}
{%- if loop.first and message['role'] != 'system' -%}
{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}
{%- endif -%}
{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}
"""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--name", default="smollm2-135m", help="the name under which the model is served")
    parser.add_argument("--slots", type=int, default=2, help="requests answered at the same time")
    parser.add_argument("--threads", type=int, default=max(1, min(4, (os.cpu_count() or 2) // 2)))
    parser.add_argument("--log", type=pathlib.Path, default=pathlib.Path(os.devnull))
    return parser.parse_args()


def end_with_parent() -> None:
    """Linux kills this process with its parent; elsewhere a look twice a second does."""
    parent = os.getppid()
    try:
        os.setsid()
    except PermissionError:
        pass  # Started by hand from a shell, this already leads its own group.
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


def start(options: argparse.Namespace, home: pathlib.Path):
    """Loads the model and listens. Returns the server, which lives as long as it is referenced."""
    sys.path.insert(0, str(home))
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(home / fetch.GGUF)
    params.model_alias = {options.name}
    params.hostnames = ["127.0.0.1"]
    params.port = options.port
    params.n_parallel = options.slots
    params.n_ctx = 4096 * options.slots
    params.cpuparams.n_threads = options.threads
    params.cpuparams_batch.n_threads = options.threads
    params.chat_template = TEMPLATE
    # Where the caller names none; so small a model wanders at the usual 0.8, and now and then at 0.2.
    params.sampling.temp = 0.0
    params.endpoint_metrics = True
    # Mean pooling turns embeddings on; chat goes on working beside it.
    params.embedding = True
    params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    return xllamacpp.Server(params)


def wait_until_healthy(address: str, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=2) as answer:
                if json.load(answer).get("status") == "ok":
                    return
        except OSError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def main() -> int:
    options = arguments()
    end_with_parent()
    # A thread of the server may hold the interpreter; leave at once and let the system clean up.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    stdout = os.dup(1)
    log = os.open(options.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(log, 1)
    stderr = os.dup(2)
    try:
        home = fetch.fetch()
        os.dup2(log, 2)
        server = start(options, home)
        address = server.listening_address
        wait_until_healthy(address)
    except Exception as error:
        os.dup2(stderr, 2)
        print(f"cannot serve the model: {error}", file=sys.stderr)
        return 1
    os.write(stdout, f"{address}/v1\n".encode())
    os.close(stdout)
    while True:
        signal.pause()


if __name__ == "__main__":
    sys.exit(main())
