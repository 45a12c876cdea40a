// The real binary and the scripted upstream as child processes on free ports, ended by their own ids.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import OpenAI from "openai";

const ROOT = resolve(fileURLToPath(import.meta.url), "../../..");

// Scripts of the upstream, offered as models of the same name.
const SCRIPTS = [
  "fast", "echo", "tools:2", "n2", "embed3", "stream8", "stream500-paced:10", "status-400", "status-403", "status-404",
  "status-409", "status-413", "status-422", "status-429", "status-429:1", "status-500", "flaky:2", "cut-chunk:3",
  "reset-stream:3", "error-in-200:3", "hang-head", "hang-stream:3",
];

function binary(variable, name) {
  const path = process.env[variable] || join(ROOT, "target", "quick", name);
  if (!existsSync(path)) throw new Error(`${path} is not built; run \`make build-tests\` or set ${variable}`);
  return path;
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

// The environment without anything that would configure the router.
function environment(extra) {
  const kept = Object.entries(process.env).filter(([name]) => !/^(OPENAI_|ROUTER_|OLLAMA_|ATP_|RUST_LOG)/.test(name));
  return { ...Object.fromEntries(kept), ...extra };
}

class Child {
  constructor(folder, name, command, args, env = {}) {
    this.name = name;
    this.log = join(folder, `${name}.log`);
    const out = openSync(this.log, "w");
    this.process = spawn(command, args, { cwd: folder, env: environment(env), stdio: ["ignore", out, out] });
    closeSync(out);
  }

  async ready(url) {
    const deadline = Date.now() + 60_000;
    for (;;) {
      const ok = await fetch(url).then((answer) => answer.ok, () => false);
      if (ok) return this;
      if (this.process.exitCode !== null || Date.now() > deadline) {
        throw new Error(`${this.name} is not ready:\n${readFileSync(this.log, "utf8").slice(-4000)}`);
      }
      await pause(20);
    }
  }

  async stop() {
    if (this.process.exitCode !== null) return;
    const ended = once(this.process, "exit");
    this.process.kill("SIGTERM");
    const late = setTimeout(() => this.process.kill("SIGKILL"), 15_000);
    await ended;
    clearTimeout(late);
  }
}

async function startUpstream(folder) {
  const url = `http://127.0.0.1:${await freePort()}`;
  const child = new Child(folder, "upstream", binary("ATP_UPSTREAM_BIN", "atp-upstream"), ["--listen", url.slice(7), "--record", "50"]);
  await child.ready(`${url}/_stats`);
  return Object.assign(child, {
    url,
    stats: async () => (await fetch(`${url}/_stats`)).json(),
    requests: async () => (await fetch(`${url}/_requests`)).json(),
    reset: async () => (await fetch(`${url}/_reset`, { method: "POST" })).text(),
  });
}

async function startRouter(folder, upstream, { env = {}, ...more } = {}) {
  const port = await freePort();
  const scripted = SCRIPTS.map((name) => [name, { targets: [{ provider: "up", model: name }] }]);
  const config = {
    listen: `127.0.0.1:${port}`,
    admin: { listen: `127.0.0.1:${await freePort()}` },
    providers: {
      up: { kind: "openai", base_url: `${upstream.url}/v1`, api_key: "upstream-secret" },
      sim: { kind: "simulated" },
    },
    models: { "sim-fast": { targets: [{ provider: "sim", model: "sim-fast" }] }, ...Object.fromEntries(scripted) },
    ...more,
  };
  const name = `router-${port}`;
  // JSON is YAML.
  writeFileSync(join(folder, `${name}.yaml`), JSON.stringify(config, null, 2));
  const child = new Child(folder, name, binary("ATP_BIN", "atp"), ["up", "-c", join(folder, `${name}.yaml`)], env);
  await child.ready(`http://127.0.0.1:${port}/readyz`);
  return Object.assign(child, { baseURL: `http://127.0.0.1:${port}/v1` });
}

// Starts both and hands out routers with other settings; `end` stops everything.
export async function stage() {
  const folder = mkdtempSync(join(tmpdir(), "atp-node-"));
  const children = [];
  const upstream = await startUpstream(folder);
  children.push(upstream);
  const start = async (more) => {
    const router = await startRouter(folder, upstream, more);
    children.push(router);
    return router;
  };
  const end = async () => {
    await Promise.all(children.map((child) => child.stop()));
    rmSync(folder, { recursive: true });
  };
  try {
    const router = await start();
    return { upstream, router, client: connect(router), start, end };
  } catch (error) {
    await end();
    throw error;
  }
}

export function connect(router, options = {}) {
  return new OpenAI({ baseURL: router.baseURL, apiKey: "none-needed", maxRetries: 0, timeout: 30_000, ...options });
}

export function user(content) {
  return [{ role: "user", content }];
}

// Waits for a condition; tells how many milliseconds that took.
export async function until(condition, limit = 5_000) {
  const started = performance.now();
  while (!(await condition())) {
    if (performance.now() - started > limit) throw new Error(`not so within ${limit} ms`);
    await pause(1);
  }
  return performance.now() - started;
}
