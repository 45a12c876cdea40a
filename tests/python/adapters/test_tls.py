"""Adapters behind TLS: who trusts whom, and a certificate that is replaced under load."""

import asyncio
import ssl

import openai

import stage
from adapting import AT_ONCE, Adapter, chat, post, until
from certificates import Authority


def secured(folder, authority, *more):
    authority.sign(folder / "cert.pem", folder / "key.pem")
    listen = f"127.0.0.1:{stage.free_port()}"
    options = ["--tls-cert", str(folder / "cert.pem"), "--tls-key", str(folder / "key.pem"), *more]
    return Adapter(folder, *options, listen=listen)


def router(folder, adapter, label: str, **trust):
    providers = {"far": {"kind": "grpc", "endpoint": f"https://{adapter.listen.replace('127.0.0.1', 'localhost')}"} | trust}
    models = {name: {"targets": [{"provider": "far"}]} for name in ("quick", "slow")}
    settings = {"drain": AT_ONCE, "retry": {"max_attempts": 1}, "workers": 1}
    return stage.running(stage.Router(folder / label, providers, models, **settings))


def test_only_those_who_are_vouched_for_are_served(tmp_path):
    servers, clients, others = (Authority(tmp_path, name) for name in ("servers", "clients", "others"))
    clients.sign(tmp_path / "router.pem", tmp_path / "router.key")
    others.sign(tmp_path / "other.pem", tmp_path / "other.key")
    known = {"cert_file": str(tmp_path / "router.pem"), "key_file": str(tmp_path / "router.key")}
    stranger = {"cert_file": str(tmp_path / "other.pem"), "key_file": str(tmp_path / "other.key")}
    with stage.running(secured(tmp_path, servers, "--tls-client-ca", str(clients.ca))) as adapter:
        cases = [
            ("trusted", {"ca_file": str(servers.ca)} | known, 200),
            ("nameless", {"ca_file": str(servers.ca)}, 502),
            ("stranger", {"ca_file": str(servers.ca)} | stranger, 502),
            ("untrusting", {"ca_file": str(others.ca)} | known, 502),
        ]
        for label, trust, status in cases:
            with router(tmp_path, adapter, label, **trust) as process:
                assert post(process, chat("quick"))[0] == status, label


async def test_a_certificate_is_replaced_without_dropping_a_stream(tmp_path):
    authority = Authority(tmp_path, "first")
    with stage.running(secured(tmp_path, authority)) as adapter:
        port = int(adapter.listen.rsplit(":", 1)[1])
        seen = lambda: ssl.get_server_certificate(("127.0.0.1", port))  # noqa: E731
        before = seen()
        with router(tmp_path, adapter, "router", ca_file=str(authority.ca)) as process:
            async with openai.AsyncOpenAI(base_url=process.base_url, api_key="x", max_retries=0, timeout=30) as client:
                stream = await client.chat.completions.create(**chat("slow"), stream=True, max_tokens=60)
                words = 0
                async for chunk in stream:
                    words += bool(chunk.choices and chunk.choices[0].delta.content)
                    if words == 5:
                        authority.sign(tmp_path / "cert.pem", tmp_path / "key.pem")
                        await asyncio.to_thread(until, lambda: seen() != before)
                assert words > 40
                assert (await client.chat.completions.create(**chat("quick"))).choices


def test_an_adapter_registers_with_a_router_behind_tls(tmp_path):
    authority = Authority(tmp_path, "first")
    authority.sign(tmp_path / "front.pem", tmp_path / "front.key")
    tls = {"cert": str(tmp_path / "front.pem"), "key": str(tmp_path / "front.key")}
    providers, models = {"own": {"kind": "simulated"}}, {"sim-fast": {"targets": [{"provider": "own"}]}}
    adapters = {"report_every": "200ms"}
    with stage.running(stage.Router(tmp_path / "router", providers, models, tls=tls, adapters=adapters, drain=AT_ONCE)) as process:
        options = ["--name", "pool", "--router", f"https://localhost:{process.port}", "--router-ca", str(authority.ca)]
        with stage.running(Adapter(tmp_path, *options)):
            until(lambda: process.metrics()["adapters_registered"] == 1)
