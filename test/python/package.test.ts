import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { hasPython, interpreters } from "./interpreters.ts";

const FOLDER = fileURLToPath(new URL("../../sdk/python/", import.meta.url));

interface Ended {
  readonly code: number | null;
  readonly output: string;
}

async function runIn(path: string, args: readonly string[]): Promise<Ended> {
  const env = { PATH: process.env.PATH, PYTHONPATH: "src", PYTHONDONTWRITEBYTECODE: "1" };
  const child = spawn(path, args, { cwd: FOLDER, env, stdio: ["ignore", "pipe", "pipe"] });
  const { promise, resolve, reject } = Promise.withResolvers<Ended>();
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  child.once("error", reject);
  child.once("close", (code) => resolve({ code, output }));
  return await promise;
}

describe.skipIf(!hasPython)("the Python package", () => {
  test.each(interpreters)(
    "passes its own tests under Python $version",
    { timeout: 120_000 },
    async ({ path }) => {
      const { code, output } = await runIn(path, ["-m", "unittest", "discover", "-s", ".", "-t", "."]);
      expect(code, output).toBe(0);
      // A folder without tests would pass too.
      expect(output).toMatch(/Ran \d\d+ tests/);
    },
  );

  test("has no dependency, and loads none of its modules before they are used", async () => {
    const code =
      'import sys, towpath; print([name for name in sys.modules if name.startswith("towpath.")], "asyncio" in sys.modules)';
    const { output } = await runIn("python3", ["-c", code]);
    expect(output.trim()).toBe("[] False");
  });
});
