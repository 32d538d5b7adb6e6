import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "vitest";
import { firstEnvironment } from "./first-environment.ts";

test.skipIf(process.platform !== "linux")(
  "the whole first environment is read, however long it is, with characters of several bytes",
  async () => {
    const env = { LONG: "é€😀".repeat(12_000), LAST: "ü" };
    const child = spawn("sleep", ["600"], { env });
    try {
      await once(child, "spawn");
      expect(await firstEnvironment(child.pid ?? 0)).toEqual([`LONG=${env.LONG}`, "LAST=ü", ""]);
    } finally {
      child.kill("SIGKILL");
    }
    await once(child, "close");
    expect(await firstEnvironment(child.pid ?? 0)).toEqual([]);
  },
);
