// What works: chat, streams, tools, structured output, embeddings, models, and the rest of the surface.

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";

import { toFile } from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

import { stage, user } from "./stage.mjs";

let set;
let client;
before(async () => {
  set = await stage();
  client = set.client;
});
after(() => set?.end());
beforeEach(() => set.upstream.reset());

const WEATHER = {
  type: "function",
  function: {
    name: "get_weather",
    parameters: {
      type: "object",
      properties: { city: { type: "string" }, day: { type: "integer", minimum: 0, maximum: 6 } },
      required: ["city", "day"],
      additionalProperties: false,
    },
  },
};

test("a chat is answered", async () => {
  const answer = await client.chat.completions.create({ model: "sim-fast", messages: user("Tell me about bridges.") });
  assert.ok(answer.choices[0].message.content);
  assert.equal(answer.choices[0].finish_reason, "stop");
  assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
  assert.ok(answer._request_id);
});

test("headers tell who answered", async () => {
  const { response } = await client.chat.completions.create({ model: "fast", messages: user("Hello") }).withResponse();
  assert.equal(response.headers.get("x-atp-provider"), "up");
  assert.equal(response.headers.get("x-atp-model"), "fast");
  assert.equal(response.headers.get("x-atp-attempts"), "1");
});

test("a stream gives every chunk in order", async () => {
  const stream = await client.chat.completions.create({ model: "stream8", messages: user("Hello"), stream: true });
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  const text = chunks.map((chunk) => chunk.choices[0].delta.content ?? "").join("");
  assert.deepEqual(text.trim().split(" "), [0, 1, 2, 3, 4, 5, 6, 7].map((number) => `token${number}`));
  assert.ok(chunks.every((chunk) => chunk.usage == null));
});

test("usage comes at the end of a stream when asked for", async () => {
  const options = { stream: true, stream_options: { include_usage: true } };
  const stream = await client.chat.completions.create({ model: "stream8", messages: user("Hello"), ...options });
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  assert.equal(chunks.at(-1).usage.prompt_tokens, 250);
  assert.deepEqual(chunks.at(-1).choices, []);
});

test("a demanded tool is called with valid arguments", async () => {
  const answer = await client.chat.completions.create({
    model: "sim-fast", messages: user("The weather?"), tools: [WEATHER], tool_choice: "required",
  });
  const [call] = answer.choices[0].message.tool_calls;
  assert.equal(call.function.name, "get_weather");
  assert.deepEqual(Object.keys(JSON.parse(call.function.arguments)).sort(), ["city", "day"]);
});

test("parallel tool calls come whole and streamed", async () => {
  const whole = await client.chat.completions.create({ model: "tools:2", messages: user("Hello"), tools: [WEATHER] });
  assert.deepEqual(whole.choices[0].message.tool_calls.map((call) => call.id), ["call_0", "call_1"]);
  const runner = client.chat.completions.stream({ model: "tools:2", messages: user("Hello"), tools: [WEATHER] });
  const final = await runner.finalChatCompletion();
  const days = final.choices[0].message.tool_calls.map((call) => JSON.parse(call.function.arguments).day);
  assert.deepEqual(days, [0, 1]);
});

test("structured output is parsed", async () => {
  const Person = z.object({ name: z.string(), age: z.number().int() });
  const answer = await client.chat.completions.parse({
    model: "sim-fast", messages: user("Describe Ann, who is 31."), response_format: zodResponseFormat(Person, "person"),
  });
  assert.equal(typeof answer.choices[0].message.parsed.name, "string");
  assert.ok(Number.isInteger(answer.choices[0].message.parsed.age));
});

test("embeddings agree in both encodings", async () => {
  const ask = { model: "sim-fast", input: ["bridges", "violins"], dimensions: 32 };
  const plain = await client.embeddings.create({ ...ask, encoding_format: "float" });
  // Without a format the SDK asks for base64 and decodes it.
  const packed = await client.embeddings.create(ask);
  assert.equal(packed.data.length, 2);
  plain.data.forEach((item, index) => {
    assert.equal(item.embedding.length, 32);
    item.embedding.forEach((value, at) => assert.ok(Math.abs(value - packed.data[index].embedding[at]) < 1e-5));
  });
});

test("models are listed and told", async () => {
  const names = [];
  for await (const model of client.models.list()) names.push(model.id);
  assert.ok(names.includes("sim-fast") && names.includes("status-429:1"));
  assert.equal((await client.models.retrieve("status-429:1")).id, "status-429:1");
});

test("legacy completions are answered", async () => {
  const answer = await client.completions.create({ model: "sim-fast", prompt: "Once", max_tokens: 8 });
  assert.ok(answer.choices[0].text);
});

test("moderations and audio uploads reach the provider", async () => {
  await client.moderations.create({ model: "echo", input: "a kind word" });
  const sound = Buffer.alloc(300_000, 7);
  await client.audio.transcriptions.create({ model: "echo", file: await toFile(sound, "a.wav") });
  const [moderation, audio] = await set.upstream.requests();
  assert.equal(moderation.path, "/v1/moderations");
  assert.equal(audio.path, "/v1/audio/transcriptions");
  assert.ok(audio.body_bytes > sound.length);
});
