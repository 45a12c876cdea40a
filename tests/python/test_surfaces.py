"""Everything beside chat: embeddings, models, completions, moderations, audio, images, raw access, keys."""

import base64
import hashlib
import io
import math
import struct

import httpx
import openai
import pytest

import stage


def test_embeddings_as_the_sdk_asks_for_them(client, seen):
    answer = client.embeddings.create(model="embed3", input=["a", "b", "c"])
    assert [item.index for item in answer.data] == [0, 1, 2]
    assert all(len(item.embedding) == 512 for item in answer.data)
    assert '"encoding_format":"base64"' in seen.requests()[-1]["body"].replace(" ", "")


def test_both_encodings_hold_the_same_numbers(client):
    floats = client.embeddings.create(model="sim-fast", input="bridges", encoding_format="float").data[0].embedding
    packed = client.embeddings.with_raw_response.create(model="sim-fast", input="bridges", encoding_format="base64").http_response
    raw = base64.b64decode(packed.json()["data"][0]["embedding"])
    unpacked = struct.unpack(f"<{len(raw) // 4}f", raw)
    assert len(floats) == len(unpacked)
    assert all(math.isclose(a, b, rel_tol=1e-5, abs_tol=1e-6) for a, b in zip(floats, unpacked, strict=True))


def test_simulated_embeddings_are_deterministic_and_tell_texts_apart(client):
    embed = lambda text: client.embeddings.create(model="sim-fast", input=text, dimensions=64).data[0].embedding  # noqa: E731
    assert embed("bridges") == embed("bridges") != embed("violins")
    assert len(embed("bridges")) == 64


async def test_embeddings_in_the_async_client(async_client):
    answer = await async_client.embeddings.create(model="sim-fast", input=["a", "b"])
    assert len(answer.data) == 2 and answer.usage.prompt_tokens > 0


def test_models_are_listed_in_configured_order(client):
    names = [model.id for model in client.models.list()]
    assert names[:3] == ["m", "sim-fast", "sim-balanced"]
    assert "status-429:1" in names


def test_one_model_is_told_and_an_unknown_one_is_not(client):
    model = client.models.retrieve("sim-fast")
    assert (model.id, model.object) == ("sim-fast", "model")
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no-such-model")


def test_legacy_completions(client):
    answer = client.completions.create(model="sim-fast", prompt="Once upon a time", max_tokens=8)
    assert answer.object == "text_completion" and answer.choices[0].text
    with client.completions.create(model="stream8", prompt="Once", stream=True) as stream:
        assert "".join(chunk.choices[0].text for chunk in stream if chunk.choices).startswith("token0")


def arrived(answer: httpx.Response) -> dict:
    return answer.json()["echo"]


def test_moderations_reach_the_provider(router):
    answer = httpx.post(f"{router.base_url}/moderations", json={"model": "m", "input": "a kind word"})
    assert answer.status_code == 200
    assert arrived(answer)["path"] == "/v1/moderations"


def test_images_reach_the_provider(router):
    answer = httpx.post(f"{router.base_url}/images/generations", json={"model": "m", "prompt": "a bridge"})
    assert arrived(answer)["path"] == "/v1/images/generations"


def test_audio_uploads_pass_through_unchanged(client, seen):
    sound = bytes(range(256)) * 2000
    client.audio.transcriptions.with_raw_response.create(model="m", file=("a.wav", io.BytesIO(sound)))
    request = seen.requests()[-1]
    headers = {name.lower(): value for name, value in request["headers"]}
    assert request["path"] == "/v1/audio/transcriptions"
    assert headers["content-type"].startswith("multipart/form-data; boundary=")
    assert request["body_bytes"] > len(sound)


def test_a_multipart_body_is_not_touched(router):
    body = b"--x\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nm\r\n--x\r\ncontent-disposition: form-data; "
    body += b"name=\"file\"; filename=\"a.wav\"\r\n\r\n" + bytes(range(256)) * 400 + b"\r\n--x--\r\n"
    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = httpx.post(f"{router.base_url}/audio/transcriptions", content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert arrived(answer)["body_sha256"] == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH"])
def test_raw_access_reaches_any_path_of_a_provider(router, method):
    content = None if method in ("GET", "DELETE") else b"anything at all"
    answer = httpx.request(method, f"{router.url}/providers/up/batches/b_1?limit=2&after=x%2Fy", content=content)
    assert answer.status_code == 200, answer.text
    told = arrived(answer)
    assert (told["method"], told["path"]) == (method, "/v1/batches/b_1?limit=2&after=x%2Fy")
    headers = {name.lower(): value for name, value in told["headers"]}
    assert headers["authorization"] == "Bearer upstream-secret"


def test_raw_access_to_an_unknown_provider_is_not_found(router):
    answer = httpx.post(f"{router.url}/providers/nobody/chat/completions", json={})
    assert answer.status_code == 404
    assert answer.json()["error"]["message"]


@pytest.fixture(scope="module")
def locked(folder, upstream):
    """A router with keys."""
    keys = [{"name": "web-app", "key": "wk-correct-horse"}, {"name": "batch", "key": "bk-battery-staple"}]
    router = stage.Router(folder / "locked", {"up": stage.openai_provider(upstream.url)}, stage.scripted(), keys=keys)
    with stage.running(router):
        yield router


@pytest.mark.parametrize("header", ["authorization", "x-api-key", "api-key"])
def test_a_key_is_taken_from_any_of_its_headers(locked, header):
    value = "Bearer wk-correct-horse" if header == "authorization" else "wk-correct-horse"
    body = {"model": "fast", "messages": [{"role": "user", "content": "Hello"}]}
    answer = httpx.post(f"{locked.base_url}/chat/completions", json=body, headers={header: value})
    assert answer.status_code == 200


@pytest.mark.parametrize("key", ["wk-correct-hors", "wk-correct-horse2", "x", "upstream-secret"])
def test_a_wrong_key_raises_authentication_error(locked, user, key):
    client = openai.OpenAI(base_url=locked.base_url, api_key=key, max_retries=0)
    with pytest.raises(openai.AuthenticationError) as refused:
        client.chat.completions.create(model="fast", messages=user("Hello"))
    assert refused.value.status_code == 401
    assert refused.value.code == "invalid_api_key"
    assert refused.value.response.headers["x-atp-error"] == "authentication_failed"


def test_no_door_is_open_without_a_key(locked):
    doors = ["/v1/models", "/v1/models/fast", "/providers/up/models"]
    assert {httpx.get(f"{locked.url}{door}").status_code for door in doors} == {401}


def test_keys_are_never_shown(locked):
    shown = locked.log.read_text() + stage.get(f"{locked.admin_url}/metrics")[1].decode()
    for secret in ("wk-correct-horse", "bk-battery-staple", "upstream-secret"):
        assert secret not in shown
