import { join } from "node:path";
import type { Stack } from "../harness/index.ts";

/** Flows that misbehave, each in a different way. */
const FLOWS = `
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync, writeSync } from "node:fs";
import { request } from "node:http";
import { flow, log, secret, task } from "towpath";
import { z } from "zod";

export const throws = flow({ name: "throws", input: z.object({ what: z.string() }) }, async ({ what }) => {
  if (what === "text") throw "just a text";
  if (what === "error") throw new RangeError("no such column");
  void Promise.reject(new Error("nobody waits for this"));
  await new Promise((resolve) => setTimeout(resolve, 60_000));
});

export const exits = flow({ name: "exits", input: z.object({ code: z.number() }) }, async ({ code }) => {
  log.warn("about to exit with " + code);
  process.exit(code);
});

export const hangs = flow({ name: "hangs", input: z.object({ busy: z.boolean() }) }, async ({ busy }) => {
  process.on("SIGTERM", () => {});
  if (busy) for (;;) Math.random();
  await new Promise((resolve) => setTimeout(resolve, 600_000));
});

export const floods = flow({ name: "floods", input: z.object({ megabytes: z.number() }) }, async ({ megabytes }) => {
  writeSync(1, "before\\n");
  for (const stream of [1, 2]) {
    const block = "x".repeat(1024 * 1024);
    for (let done = 0; done < megabytes; done++) writeSync(stream, block);
    writeSync(stream, "\\n");
  }
  writeSync(1, "after\\n");
});

export const garbles = flow({ name: "garbles" }, async () => {
  writeSync(1, Buffer.from([0x61, 0xff, 0xfe, 0x62, 0x0a]));
  writeSync(1, "nul\\0here\\n");
  await new Promise((resolve) => setTimeout(resolve, 1500));
  log.info("logged \\ud800\\0");
  await new Promise((resolve) => setTimeout(resolve, 500));
  writeSync(1, "last");
});

export const forks = flow({ name: "forks", input: z.object({ folder: z.string() }) }, async ({ folder }) => {
  const child = spawn("sleep", ["1000"], { detached: true, stdio: "ignore" });
  child.unref();
  writeFileSync(folder + "/pid", String(child.pid));
});

function post(path: string, body: string | null): Promise<string> {
  const token = readFileSync(process.env.TOWPATH_TOKEN_FILE ?? "", "utf8").trim();
  return new Promise((resolve, reject) => {
    const sent = request(
      { socketPath: process.env.TOWPATH_SOCKET, method: "POST", path, headers: { authorization: "Bearer " + token } },
      (answer) => {
        let text = "";
        answer.on("data", (chunk) => { text += chunk; });
        answer.on("end", () => resolve(text));
      },
    );
    sent.on("error", reject);
    if (body !== null) sent.end(body);
    else {
      const block = Buffer.alloc(1024 * 1024, 0x20);
      const more = () => { while (!sent.destroyed && sent.write(block)); };
      sent.on("drain", more);
      more();
    }
  });
}

export const malformed = flow({ name: "malformed", input: z.object({ folder: z.string() }) }, async ({ folder }) => {
  const at = new Date().toISOString();
  const line = (seq: number, text: string) => JSON.stringify({ seq, type: "log", at, level: "info", text });
  const lines = [
    line(1, "first"),
    "{not json hunter2",
    JSON.stringify({ seq: 2, type: "log", at, level: "hunter2", text: "x" }),
    JSON.stringify({ seq: 3, type: "unheard-of", at }),
    "[]",
    line(4, "last"),
  ];
  writeFileSync(folder + "/answer", await post("/records", lines.join("\\n")));
});

export const hammers = flow({ name: "hammers" }, async () => {
  const sent = Array.from({ length: 60 }, () => post("/records", null).catch(() => ""));
  await Promise.race([Promise.all(sent), new Promise((resolve) => setTimeout(resolve, 8_000))]);
  writeSync(1, "still here\\n");
});

const keyed = task({ name: "keyed" }, async (count: number) => count);
export const leaks = flow({ name: "leaks" }, async () => {
  const value = secret("password");
  const url = new URL("https://host/");
  url.password = value;
  await keyed.with({ key: value })(1);
  console.log(url.href, JSON.stringify({ value }), encodeURI(value), new URLSearchParams({ value }).toString());
  console.log(Buffer.from(value).toString("hex"), Buffer.from(value).toString("base64"));
  log.info({ value });
  throw new Error("x".repeat(4096 - 14) + value);
});
`;

const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import * as flows from "./flows/hostile.ts";

export default defineConfig({
  project: "hostile",
  pool: "local",
  registry: ociLayout(REGISTRY, { name: "local" }),
  deployments: [
    deployment(flows.throws, {}),
    deployment(flows.exits, {}),
    deployment(flows.hangs, { timeoutMs: 2_000, killGraceMs: 500 }),
    deployment(flows.floods, {}),
    deployment(flows.garbles, {}),
    deployment(flows.forks, {}),
    deployment(flows.malformed, {}),
    deployment(flows.hammers, {}),
    deployment(flows.leaks, { secrets: ["password"] }),
  ],
});
`;

/** Deploys flows that misbehave. */
export async function deployHostile(stack: Stack): Promise<void> {
  const home = await stack.project({
    "flows/hostile.ts": FLOWS,
    "towpath.config.ts": CONFIG.replace("REGISTRY", JSON.stringify(join(stack.folder, "registry"))),
  });
  const deployed = await stack.towpath(["deploy", "--project", home]);
  if (deployed.code !== 0) throw new Error(`deploy failed (${deployed.code}):\n${deployed.output}`);
}
