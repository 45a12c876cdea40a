// What fails: each error class of the SDK, broken streams, time-outs, and callers that leave.

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";

import OpenAI from "openai";

import { connect, stage, until, user } from "./stage.mjs";

let set;
let client;
before(async () => {
  set = await stage();
  client = set.client;
});
after(() => set?.end());
beforeEach(() => set.upstream.reset());

const ask = (model, more = {}, options = {}) => client.chat.completions.create({ model, messages: user("Hello"), ...more }, options);

for (const [model, kind, status] of [
  ["status-400", OpenAI.BadRequestError, 400],
  ["status-403", OpenAI.PermissionDeniedError, 403],
  ["status-404", OpenAI.NotFoundError, 404],
  ["status-409", OpenAI.ConflictError, 409],
  ["status-413", OpenAI.APIError, 413],
  ["status-422", OpenAI.UnprocessableEntityError, 422],
  ["status-429", OpenAI.RateLimitError, 429],
  ["status-500", OpenAI.InternalServerError, 500],
]) {
  test(`${model} raises ${kind.name}`, async () => {
    await assert.rejects(ask(model), (error) => {
      assert.ok(error instanceof kind, error.constructor.name);
      assert.equal(error.status, status);
      assert.match(error.message, new RegExp(`the script asks for ${status}`));
      assert.ok(error.headers.get("x-atp-error"));
      return true;
    });
  });
}

test("an unknown model raises NotFoundError", async () => {
  await assert.rejects(ask("no-such-model"), (error) => error instanceof OpenAI.NotFoundError && error.code === "model_not_found");
});

test("a wrong key raises AuthenticationError", async () => {
  const locked = await set.start({ keys: [{ name: "web", key: "wk-correct-horse" }] });
  const call = (apiKey) => connect(locked, { apiKey }).chat.completions.create({ model: "fast", messages: user("Hello") });
  await assert.rejects(call("wk-wrong"), OpenAI.AuthenticationError);
  assert.ok((await call("wk-correct-horse")).choices[0].message.content);
});

test("limits of the router raise their classes", async () => {
  const narrow = await set.start({ env: { ROUTER_MAX_PROMPT_CHARS: "1000", ROUTER_RPS_LIMIT: "2", ROUTER_RPS_BURST: "2" } });
  const create = (content) => connect(narrow).chat.completions.create({ model: "fast", messages: user(content) });
  await assert.rejects(create("x".repeat(1001)), (error) => error.status === 413);
  await assert.rejects(Promise.all(Array.from({ length: 20 }, () => create("Hello"))), OpenAI.RateLimitError);
});

test("a client that retries does not see a failure now and then", async () => {
  const retrying = connect(set.router, { maxRetries: 2 });
  for (let round = 0; round < 4; round += 1) {
    const answer = await retrying.chat.completions.create({ model: "flaky:2", messages: user("Hello") });
    assert.ok(answer.choices[0].message.content);
  }
});

for (const model of ["cut-chunk:3", "reset-stream:3", "error-in-200:3"]) {
  test(`a stream that breaks by ${model} raises after what came`, async () => {
    const texts = [];
    await assert.rejects(async () => {
      for await (const chunk of await ask(model, { stream: true })) texts.push(chunk.choices[0].delta.content);
    }, OpenAI.APIError);
    assert.deepEqual(texts, ["token0 ", "token1 ", "token2 "]);
  });
}

test("the client's own timeout raises", async () => {
  await assert.rejects(ask("hang-head", {}, { timeout: 300 }), OpenAI.APIConnectionTimeoutError);
});

test("the caller's patience bounds the router's wait", async () => {
  await assert.rejects(ask("hang-head", {}, { headers: { "x-atp-timeout-ms": "300" } }), (error) => {
    assert.ok(error instanceof OpenAI.InternalServerError);
    assert.equal(error.status, 504);
    return true;
  });
});

test("a caller who aborts a stream ends the provider's work", async () => {
  const waits = [];
  for (let round = 0; round < 5; round += 1) {
    const stream = await ask("stream500-paced:10", { stream: true });
    let seen = 0;
    for await (const _ of stream) {
      seen += 1;
      if (seen === 3) break;
    }
    stream.controller.abort();
    waits.push(await until(async () => (await set.upstream.stats()).streams_open === 0));
  }
  assert.ok(Math.min(...waits) < 50, `${waits}`);
});

test("a caller who aborts before the first byte ends the provider's work", async () => {
  const abort = new AbortController();
  const call = ask("hang-head", {}, { signal: abort.signal });
  const rejected = assert.rejects(call, OpenAI.APIUserAbortError);
  await until(async () => (await set.upstream.stats()).requests_open === 1);
  abort.abort();
  await rejected;
  assert.ok((await until(async () => (await set.upstream.stats()).requests_open === 0)) < 250);
});
