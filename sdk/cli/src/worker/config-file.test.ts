import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createClient } from "@towpath/client";
import { expect, test } from "vitest";
import { loadProject } from "../deployments/load-project.ts";
import { folderWith } from "../fixture.ts";
import { stateFolder } from "../kernel/state-folder.ts";
import { writeWorkerConfig } from "./config-file.ts";

const ID = "0193a0b1-7c00-7000-8000-000000000001";
const KEY = {
  id: ID,
  kind: "worker",
  name: "w",
  role: "viewer",
  pool: "local",
  createdAt: "2026-01-01T00:00:00.000Z",
  lastUsedAt: null,
  revokedAt: null,
};

const ME = {
  organization: { id: ID, name: "o" },
  workspace: { id: ID, name: "w" },
  key: { id: ID, name: "k", role: "admin" },
  server: { version: "0", now: "2026-01-01T00:00:00.000Z" },
};

/** The control plane at the network's edge: it knows us and makes a key. */
const fetch = async (address: unknown) => {
  const isMe = new URL(String(address)).pathname === "/api/me";
  const body = isMe ? ME : { secret: `twp_wkr_${"0".repeat(32)}_x`, key: KEY };
  const headers = { "content-type": "application/json" };
  return new Response(JSON.stringify(body), { status: isMe ? 200 : 201, headers });
};

test.each([
  ['git("https://git.internal/flows.git", { link: true, password: { file: "secrets/token" } })', "password"],
  ['archive("https://files.internal/flows", { push: true, token: { file: "secrets/token" } })', "token"],
])(
  "A local worker gets the project's registry %s without what only a deploy needs, and finds its secret",
  async (registry, field) => {
    const config = `import { archive, defineConfig, deployment, git } from "towpath/config";
    export default defineConfig({
      project: "demo", pool: "local", registry: ${registry},
      deployments: [deployment({ name: "train", command: ["true"] })],
    });`;
    await using home = await folderWith({
      "towpath.config.ts": config,
      "package.json": '{ "type": "module" }',
    });
    const folder = stateFolder(join(home.root, ".towpath"));
    const project = await loadProject(home.root, { folder });
    const client = createClient({ url: "http://127.0.0.1:9", token: "t", fetch: fetch as never });
    const worker = await writeWorkerConfig({
      folder,
      client,
      url: "http://127.0.0.1:9",
      pool: "local",
      projects: [project],
      environment: {},
    });
    const { registries } = JSON.parse(await readFile(worker.configFile, "utf8"));
    expect(registries.code).toMatchObject({ [field]: { file: join(home.root, "secrets/token") } });
    expect(Object.keys(registries.code).sort()).toEqual(["kind", field, "url"].sort());
  },
);
