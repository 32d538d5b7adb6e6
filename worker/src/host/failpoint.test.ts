import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { checkSettings } from "../config.ts";
import { AnswerDropped, armFailpoints, failpoint } from "./failpoint.ts";

afterEach(() => armFailpoints([]));

const key = { kty: "OKP", crv: "Ed25519", x: "AAAA", kid: "k" } as const;

async function configured(text: string) {
  const folder = await mkdtemp(join(tmpdir(), "towpath-failpoint-"));
  try {
    const settings = {
      ...{ url: "http://127.0.0.1:1", key: { env: "KEY" }, pool: "local", stateDir: "state" },
      ...{ trustedKeys: [key], store: { root: "store" } },
    };
    return await checkSettings(settings, { folder, environment: { TOWPATH_FAILPOINTS: text } });
  } finally {
    await rm(folder, { recursive: true });
  }
}

test("a worker without the variable has no place armed", async () => {
  const { failpoints } = await configured("");
  expect(failpoints).toEqual([]);
  armFailpoints(failpoints);
  failpoint("journal");
});

test("an armed place strikes at the passage that was asked for, once, and no other place does", async () => {
  armFailpoints((await configured("report:drop:2")).failpoints);
  failpoint("acknowledge");
  failpoint("report");
  expect(() => failpoint("report")).toThrow(AnswerDropped);
  failpoint("report");
});

test("what is no failpoint is a fault of the configuration", async () => {
  await expect(configured("report:explode:1")).rejects.toThrow(/TOWPATH_FAILPOINTS.*name:action:nth/);
});
