import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AnswerDropped } from "@towpath/contract/failpoint";
import { afterEach, expect, test } from "vitest";
import { checkSettings } from "../config.ts";
import { armFailpoints, failpoint } from "./failpoint.ts";

afterEach(() => armFailpoints([]));

const key = { kty: "OKP", crv: "Ed25519", x: "AAAA", kid: "k" } as const;

async function configured(text: string) {
  const folder = await mkdtemp(join(tmpdir(), "towpath-failpoint-"));
  try {
    const settings = {
      url: "http://127.0.0.1:1",
      key: { env: "KEY" },
      pool: "local",
      stateDir: "state",
      trustedKeys: [key],
      store: { root: "store" },
    };
    return await checkSettings(settings, { folder, environment: { TOWPATH_FAILPOINTS: text } });
  } finally {
    await rm(folder, { recursive: true });
  }
}

test("a worker without the variable has no failpoint armed", async () => {
  const { failpoints } = await configured("");
  expect(failpoints).toEqual([]);
  armFailpoints(failpoints);
  failpoint("journal");
});

test("a failpoint that the configuration names strikes", async () => {
  armFailpoints((await configured("report:drop:2")).failpoints);
  failpoint("report");
  expect(() => failpoint("report")).toThrow(AnswerDropped);
});

test.each(["lose:kill:1", "report:explode:1"])("%s is a fault of the configuration", async (text) => {
  await expect(configured(text)).rejects.toThrow(/TOWPATH_FAILPOINTS.*name:action:nth/);
});
