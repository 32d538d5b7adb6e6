import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const fileOf = (path: string) => fileURLToPath(new URL(path, import.meta.url));

test.each(["./report-failure.ts", "./warm-up.ts", "../worker.ts", "../../../sdk/flow/src/gateway/http.ts"])(
  "%s does not load Node's own fetch",
  (path) => {
    const code = `await import(${JSON.stringify(fileOf(path))});
      console.log(process.moduleLoadList.filter((name) => /deps\\/undici/.test(name)).join());`;
    const { stdout, stderr, status } = spawnSync(process.execPath, ["--input-type=module", "-e", code], {
      encoding: "utf8",
    });
    expect(status, stderr).toBe(0);
    expect(stdout.trim()).toBe("");
  },
);
