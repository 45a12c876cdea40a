"""Health, reflection, TLS, and HTTP/1.1, at the door that gRPC comes in by."""

import subprocess
import urllib.error
import urllib.request

import grpc
import pytest
import stage
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

SERVICE = "atp.router.v1.RouterService"


def test_health(channel):
    health = health_pb2_grpc.HealthStub(channel)
    for service in ("", SERVICE):
        status = health.Check(health_pb2.HealthCheckRequest(service=service)).status
        assert status == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpc.RpcError) as caught:
        health.Check(health_pb2.HealthCheckRequest(service="nobody"))
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_reflection_is_enough_to_make_a_call(channel):
    database = ProtoReflectionDescriptorDatabase(channel)
    assert set(database.get_services()) >= {SERVICE, "grpc.health.v1.Health"}
    pool = DescriptorPool(database)
    service = pool.FindServiceByName(SERVICE)
    assert {method.name for method in service.methods} == {
        "Chat", "ChatStream", "Embed", "Plan", "Decision", "Feedback", "Observe", "ListModels",
    }
    request = pool.FindMessageTypeByName("atp.router.v1.ChatRequest")
    assert request.fields_by_name["messages"].message_type.full_name == "atp.router.v1.Message"


def test_http_1_is_told_that_grpc_needs_http_2(router):
    request = urllib.request.Request(f"{router.url}/{SERVICE}/Chat", b"\0\0\0\0\0", {"content-type": "application/grpc"})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=5)
    assert caught.value.code == 400 and b"HTTP/2" in caught.value.read()


def test_tls(tmp_path, chat, open_calls):
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", "key.pem", "-out", "cert.pem"]
    folder = tmp_path / "tls"
    folder.mkdir()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    models = {"m": {"targets": [{"provider": "sim", "model": "sim-fast"}]}}
    tls = {"cert": "cert.pem", "key": "key.pem"}

    class Secured(stage.Router):
        def wait_for(self, ready, what, seconds=60.0):
            super().wait_for(lambda: stage.get(f"{self.admin_url}/readyz")[0] == 200, what, seconds)

    with stage.running(Secured(folder, {"sim": {"kind": "simulated"}}, models, tls=tls, drain={"min_delay": "0s"})) as router:
        channel, calls = open_calls(router, grpc.ssl_channel_credentials((folder / "cert.pem").read_bytes()), "localhost")
        with channel:
            assert calls.Chat(chat("m")).choices[0].message.text
            assert [message.WhichOneof("event") for message in calls.ChatStream(chat("m"))][-1] == "end"
