import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { folderWith } from "../fixture.ts";
import { beginInvocation } from "../kernel/invocation.ts";
import { openRedeployer } from "./redeploy.ts";

const silent = { write: () => true };
const invocation = beginInvocation({ stdout: silent, stderr: silent }, {});

test("A deploy uses the project's files at the time of the request, not at the start of the process", async () => {
  await using folder = await folderWith({ "towpath.config.ts": "export default 1;" });
  const redeployer = openRedeployer(invocation, {
    root: folder.root,
    state: join(folder.root, ".towpath"),
    connection: { url: "http://127.0.0.1:9", key: "unused" },
  });
  try {
    redeployer.prepare();
    await writeFile(join(folder.root, "towpath.config.ts"), "throw new Error('saved since');");
    expect(await redeployer.deploy()).toMatchObject({
      ok: false,
      text: expect.stringContaining("saved since"),
    });
    await writeFile(join(folder.root, "towpath.config.ts"), "export default 2;");
    expect(await redeployer.deploy()).toMatchObject({
      ok: false,
      text: expect.stringContaining("has no default export from defineConfig"),
    });
    await writeFile(join(folder.root, "towpath.config.ts"), "process.exit(0);");
    expect(await redeployer.deploy()).toMatchObject({
      ok: false,
      text: expect.stringContaining("ended without a report"),
    });
  } finally {
    redeployer.close();
  }
});
