import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createClient } from "@towpath/client";
import { newWorkspaceKey, uuidv7 } from "@towpath/contract";
import { expect, test } from "vitest";
import { startDev } from "../harness/index.ts";

const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { greet } from "./flows/greet.ts";

export default defineConfig({ project: "dev", pool: "local", registry: ociLayout(".towpath/registry"), deployments: [deployment(greet)] });
`;
const FLOW = `
import { flow, log } from "towpath";
import { z } from "zod";

export const greet = flow({ name: "greet", input: z.object({ name: z.string() }) }, async ({ name }) => {
  log.info("hello " + name);
});
`;

test("a sealed workspace can be tried on one machine: dev deploys with the key, and its worker opens and seals", async () => {
  const key = newWorkspaceKey();
  await using dev = await startDev({
    files: { "flows/greet.ts": FLOW, "towpath.config.ts": CONFIG },
    env: { TOWPATH_WORKSPACE_KEY: key },
  });
  await dev.process.waitFor(/Watching/, 90_000);
  const plain = await dev.client();
  await plain.setSealing({ body: { sealed: true } });
  const control = join(dev.home, ".towpath/control");
  const { url } = JSON.parse(await readFile(join(control, "server.json"), "utf8"));
  const token = (await readFile(join(control, "admin.key"), "utf8")).trim();
  const client = createClient({ url, token, sealing: { keys: [key] } });
  const id = uuidv7(Date.now());
  await client.createRun({ body: { id, deployment: "greet@dev", parameters: { name: "canary" } } });
  for await (const event of client.streamRun({ params: { runId: id } })) if (event.event === "end") break;
  const textsOf = async (from: typeof client) =>
    JSON.stringify(await from.getLogs({ params: { runId: id }, query: {} }));
  expect(await textsOf(client)).toContain("hello canary");
  expect(await textsOf(plain)).not.toContain("canary");
  expect(await readFile(join(dev.home, ".towpath/worker/worker.json"), "utf8")).not.toContain(key);
});
