"""Structured output by the SDK's parse helper."""

import json

import pydantic


class Person(pydantic.BaseModel):
    name: str
    age: int
    tags: list[str]


def test_parse_gives_the_typed_value(client, user):
    answer = client.chat.completions.parse(model="sim-fast", messages=user("Describe Ann, who is 31."), response_format=Person)
    assert isinstance(answer.choices[0].message.parsed, Person)


async def test_parse_works_in_the_async_client(async_client, user):
    answer = await async_client.chat.completions.parse(model="sim-fast", messages=user("Describe Bo."), response_format=Person)
    assert isinstance(answer.choices[0].message.parsed, Person)


def test_parse_works_on_streams(client, user):
    with client.chat.completions.stream(model="sim-fast", messages=user("Describe Cy."), response_format=Person) as stream:
        for _ in stream:
            pass
        assert isinstance(stream.get_final_completion().choices[0].message.parsed, Person)


def test_json_object_is_json(client, user):
    answer = client.chat.completions.create(
        model="sim-fast", messages=user("Describe Dee as JSON."), response_format={"type": "json_object"}
    )
    assert isinstance(json.loads(answer.choices[0].message.content), dict)


def test_the_schema_reaches_the_provider(client, user, seen):
    schema = {"name": "x", "strict": True, "schema": {"type": "object", "properties": {}, "additionalProperties": False}}
    client.chat.completions.create(
        model="echo", messages=user("Hello"), response_format={"type": "json_schema", "json_schema": schema}
    )
    sent = json.loads(seen.requests()[-1]["body"])
    assert sent["response_format"]["json_schema"] == schema
