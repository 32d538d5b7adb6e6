import { spawn } from "node:child_process";
import { once } from "node:events";
import { identifyProcess } from "@towpath/contract/process";
import { expect, test } from "vitest";
import { findMarked, killMarked } from "./marked-processes.ts";

test.skipIf(process.platform !== "linux")(
  "processes with a mark are found and killed below their root, in whatever group, and not below a younger one",
  async () => {
    const mark = `TOWPATH_TEST_MARK=${process.pid}.${Date.now()}`;
    const [name = "", value = ""] = mark.split("=");
    const root = spawn("sh", ["-c", "setsid sleep 600 & echo $!; wait"], {
      env: { PATH: process.env.PATH, [name]: value },
    });
    const [pid] = await once(root.stdout, "data");
    const identity = await identifyProcess(root.pid ?? 0);
    if (identity === undefined) throw new Error("the root is gone");
    const pids = [root.pid ?? 0, Number(String(pid))].sort();
    // `setsid` starts another process only if it leads a group.
    const found = async (from?: typeof identity) =>
      (await findMarked(mark, from)).map((one) => one.pid).sort();
    await expect.poll(() => found(identity)).toEqual(pids);
    expect(await found()).toEqual(pids);
    const [boot = "", ticks = ""] = identity.start.split(":");
    expect(await found({ ...identity, start: `${boot}:${Number(ticks) + 1_000_000}` })).toEqual([]);
    const closed = once(root, "close");
    expect(await killMarked(mark, { root: identity })).toEqual([]);
    await closed;
    expect(await found()).toEqual([]);
  },
);
