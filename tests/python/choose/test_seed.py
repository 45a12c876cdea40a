"""The published examples of `/v1/ask`, run as they are written."""

import asyncio
import json
import subprocess

import arms
import stage

#: What the example takes for granted: it is loaded from the router, and a body is read message by message.
PAGE = """
const origin = process.argv[1];
const asked = globalThis.fetch;
async function* lines(body) {
  let held = '';
  for await (const text of body.pipeThrough(new TextDecoderStream())) {
    const whole = (held + text).split('\\n');
    held = whole.pop();
    yield* whole;
  }
}
globalThis.fetch = async (path, init) => {
  const response = await asked(origin + path, init);
  if (!response.ok) throw new Error(await response.text());
  return { body: lines(response.body) };
};
"""

#: To the letter.
EXAMPLE = """
// Enable challenger experiments
process.env.ENABLE_CHALLENGER = "1";

// Make request - experiment metadata automatically included
const response = await fetch('/v1/ask', {
  method: 'POST',
  headers: { 'Content-Type': 'application/json' },
  body: JSON.stringify({
    prompt: "Explain machine learning",
    quality: "balanced"
  })
});

// Parse streaming response
for await (const chunk of response.body) {
  const msg = JSON.parse(chunk);
\x20\x20
  if (msg.type === "plan") {
    console.log("Experiment roles:", msg.roles);
    // Output: [
    //   {"role": "primary", "model": "gpt-4"},
    //   {"role": "challenger", "model": "claude-3"},
    //   {"role": "fallback", "model": "gpt-3.5-turbo"}
    // ]
  }
}
"""

FACTS = {
    "gpt-4": {"quality": 0.80, "latency_p95_ms": 1500, "prices": {"input": 15_000_000, "output": 45_000_000}},
    "claude-3": {"quality": 0.85, "latency_p95_ms": 1200, "prices": {"input": 16_000_000, "output": 48_000_000}, "status": "shadow"},
    "gpt-3.5-turbo": {"quality": 0.76, "latency_p95_ms": 900, "prices": {"input": 500_000, "output": 1_500_000}, "status": "fallback"},
}


async def test_the_example_of_experiments_runs_as_written(tmp_path):
    async with arms.Provider(**{name: arms.Arm() for name in FACTS}).listening() as provider:
        route = {"candidates": list(FACTS), "strategy": "cheapest", "experiment": {"challenger": "claude-3", "share": 1.0, "max_usd_per_day": 1.0}}
        router = await asyncio.to_thread(arms.router, tmp_path / "seed", provider.url, FACTS, routes={"auto": route})
        with stage.running(router):
            script = ["node", "--input-type=module", "-e", PAGE + EXAMPLE, router.url]
            ran = await asyncio.to_thread(subprocess.run, script, capture_output=True, text=True, timeout=30)
            assert ran.returncode == 0, ran.stderr
            said = " ".join(ran.stdout.split())
            roles = [("primary", "gpt-4"), ("challenger", "claude-3"), ("fallback", "gpt-3.5-turbo")]
            written = ", ".join(f"{{ role: '{role}', model: '{model}' }}" for role, model in roles)
            assert said == f"Experiment roles: [ {written} ]"


async def test_a_bare_curl_is_answered(tmp_path, router):
    """No content type, as `curl -d` sends it, and no key where none is needed."""
    command = ["curl", "-sN", f"{router.url}/v1/ask", "-H", f"authorization: Bearer {arms.secret('acme')}", "-d", '{"prompt": "Hi"}']
    ran = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=30, check=True)
    assert [json.loads(line)["type"] for line in ran.stdout.splitlines()][0] == "plan"
