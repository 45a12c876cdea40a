"""Stubs made of the repository's own protocol file, as any client would make them, and channels to the router."""

import importlib
import pathlib
import sys

import grpc
import grpc_tools
import pytest
from grpc_tools import protoc

import stage

PROTO = "atp/router/v1/router.proto"


@pytest.fixture(scope="session")
def stubs(tmp_path_factory):
    """The generated modules: `stubs.pb` has the messages, `stubs.rpc` the client."""
    out = tmp_path_factory.mktemp("stubs")
    known = pathlib.Path(grpc_tools.__file__).parent / "_proto"
    done = protoc.main(["protoc", f"-I{stage.ROOT / 'proto'}", f"-I{known}", f"--python_out={out}", f"--grpc_python_out={out}", PROTO])
    assert done == 0
    sys.path.insert(0, str(out))

    class Stubs:
        pb = importlib.import_module("atp.router.v1.router_pb2")
        rpc = importlib.import_module("atp.router.v1.router_pb2_grpc")

    return Stubs


@pytest.fixture(scope="session")
def pb(stubs):
    return stubs.pb


@pytest.fixture(scope="session")
def channel(router):
    with grpc.insecure_channel(f"127.0.0.1:{router.port}") as channel:
        yield channel


@pytest.fixture(scope="session")
def calls(stubs, channel):
    return stubs.rpc.RouterServiceStub(channel)


@pytest.fixture(scope="session")
def chat(pb):
    """A chat of one turn."""

    def made(model: str, text: str = "Hello", **more):
        return pb.ChatRequest(model=model, messages=[pb.Message(role=pb.ROLE_USER, text=text)], **more)

    return made


@pytest.fixture(scope="session")
def open_calls(stubs):
    """A client of another router, on a connection of its own."""

    def opened(router, credentials=None, host="127.0.0.1"):
        options = [("grpc.use_local_subchannel_pool", 1)]
        target = f"{host}:{router.port}"
        channel = grpc.secure_channel(target, credentials, options) if credentials else grpc.insecure_channel(target, options)
        return channel, stubs.rpc.RouterServiceStub(channel)

    return opened
