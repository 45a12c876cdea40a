"""The door itself, from outside: old clients, new ones, gRPC's own health and reflection."""

import json
import subprocess
import sys

import grpc
import pytest

import stage
from adapting import Adapter, chat, load

OLD = """
import json, pathlib, sys
import grpc
sys.path.insert(0, sys.argv[2])
wire, services = grpc.protos_and_services("first.proto")
stub = services.AdapterServiceStub(grpc.insecure_channel(sys.argv[1]))
prompt = json.dumps({"model": "quick", "messages": [{"role": "user", "content": "How do rivers shape valleys?"}], "max_tokens": 30, "stream": True})
before = stub.Estimate(wire.EstimateRequest(stream_id="s", task_type="chat", prompt_json=prompt))
pieces = list(stub.Stream(wire.StreamRequest(stream_id="s", prompt_json=prompt)))
after = stub.Estimate(wire.EstimateRequest(stream_id="s", task_type="chat", prompt_json=prompt))
wrong = list(stub.Stream(wire.StreamRequest(stream_id="s", prompt_json=prompt.replace('quick', 'nobody'))))
health = stub.Health(wire.HealthRequest())
print(json.dumps({
    "in": before.in_tokens, "p95": before.p95_tokens, "usd": before.usd_micros, "assumptions": list(before.assumptions),
    "types": [piece.type for piece in pieces], "more": [piece.more for piece in pieces],
    "texts": [json.loads(piece.content_json)["text"] for piece in pieces], "last": json.loads(pieces[-1].content_json),
    "tokens": [pieces[-1].partial_in_tokens, pieces[-1].partial_out_tokens],
    "wrong": [wrong[0].type, json.loads(wrong[0].content_json)], "calls": health.p95_ms,
}))
"""


@pytest.fixture(scope="module")
def adapter(tmp_path_factory):
    with stage.running(Adapter(tmp_path_factory.mktemp("door"))) as process:
        yield process


@pytest.fixture(scope="module")
def door(adapter):
    wire, services = load("atp/adapter/v1/adapter.proto")
    with grpc.insecure_channel(adapter.listen) as channel:
        yield wire, services.AdapterServiceStub(channel)


def test_a_client_of_the_first_field_numbers_works(adapter, tmp_path):
    # A process of its own: one protobuf pool holds one file of a package's messages.
    folder = stage.ROOT / "tests" / "python" / "adapters"
    told = subprocess.run([sys.executable, "-c", OLD, adapter.listen, str(folder)], capture_output=True, text=True, timeout=60)
    assert told.returncode == 0, told.stderr
    told = json.loads(told.stdout)
    assert told["in"] > 5 and told["p95"] >= told["in"] and told["usd"] > 0 and told["assumptions"]
    assert set(told["types"][:-1]) == {"agent.result.partial"} and told["types"][-1] == "agent.result.final"
    assert told["more"] == [True] * (len(told["more"]) - 1) + [False]
    assert "".join(told["texts"][:-1]) == told["texts"][-1] and len(told["texts"]) > 5
    assert told["last"]["finish_reason"] in ("stop", "length")
    assert told["tokens"][0] > 5 and told["tokens"][1] > 5
    kind, wrong = told["wrong"]
    assert kind == "agent.result.error" and wrong["code"] and "nobody" in wrong["message"]


def test_estimates_learn_from_what_was_used(door):
    wire, stub = door
    prompt = json.dumps(chat("quick", max_tokens=200))
    first = stub.Estimate(wire.EstimateRequest(prompt_json=prompt))
    head = wire.RequestHead(operation=wire.OPERATION_CHAT, model="quick", path="/chat/completions")
    used = []
    for _ in range(12):
        request = wire.CompleteRequest(head=head, body=prompt.encode())
        used.append([message.report.usage.output for message in stub.Complete(iter([request]))][-1])
    later = stub.Estimate(wire.EstimateRequest(prompt_json=prompt))
    mean = sum(used) / len(used)
    assert abs(later.out_tokens - mean) <= abs(first.out_tokens - mean) and later.confidence > first.confidence
    assert abs(later.out_tokens - mean) < 0.5 * mean


def test_capabilities_health_and_vectors(door):
    wire, stub = door
    facts = stub.Capabilities(wire.CapabilitiesRequest())
    assert facts.adapter_type == "simulated" and set(facts.models) == {"quick", "slow", "one-at-a-time"}
    vectors = stub.Embed(wire.EmbedRequest(model="quick", input=["a", "b"]))
    assert len(vectors.embeddings) == 2 and len(vectors.embeddings[0].values) > 10 and vectors.usage.input > 0
    health = stub.Health(wire.HealthRequest())
    assert health.status == wire.HEALTH_STATUS_HEALTHY and health.calls > 0 and health.in_flight == 0


def test_what_is_wrong_is_told_with_its_field(door):
    wire, stub = door
    cases = [
        (wire.RequestHead(operation=99, path="/x"), b"{}", "operation"),
        (wire.RequestHead(operation=wire.OPERATION_CHAT, path="/x", dialect="latin"), b"{}", "dialect"),
        (wire.RequestHead(operation=wire.OPERATION_CHAT, path="x"), b"{}", "path"),
        (wire.RequestHead(operation=wire.OPERATION_CHAT, path="/x"), b"nonsense", "body"),
    ]
    for head, body, field in cases:
        [told] = stub.Complete(iter([wire.CompleteRequest(head=head, body=body)]))
        assert told.error.param == field and told.error.side == wire.SIDE_CALLER, told
    with pytest.raises(grpc.RpcError) as headless:
        list(stub.Complete(iter([wire.CompleteRequest(body=b"{}")])))
    assert headless.value.code() == grpc.StatusCode.INVALID_ARGUMENT and "head" in headless.value.details()
    with pytest.raises(grpc.RpcError) as unknown:
        stub.Embed(wire.EmbedRequest(model="nobody", input=["a"]))
    assert unknown.value.code() in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT)


def test_grpcs_own_health_and_reflection(adapter):
    from grpc_health.v1 import health_pb2, health_pb2_grpc
    from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

    with grpc.insecure_channel(adapter.listen) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", "atp.adapter.v1.AdapterService"):
            assert health.Check(health_pb2.HealthCheckRequest(service=name)).status == health_pb2.HealthCheckResponse.SERVING
        database = ProtoReflectionDescriptorDatabase(channel)
        assert "atp.adapter.v1.AdapterService" in database.get_services()
        assert database.FindFileContainingSymbol("atp.adapter.v1.CompleteRequest").message_type
        with pytest.raises(grpc.RpcError) as unknown:
            channel.unary_unary("/atp.adapter.v1.Nobody/Call")(b"")
        assert unknown.value.code() == grpc.StatusCode.UNIMPLEMENTED
