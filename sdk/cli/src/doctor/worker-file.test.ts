import { join } from "node:path";
import { expect, test } from "vitest";
import { caught, folderWith } from "../fixture.ts";
import { beginInvocation } from "../kernel/invocation.ts";
import { checkWorkerFile } from "./worker-file.ts";

const silent = { write: () => true };
const invocation = beginInvocation({ stdout: silent, stderr: silent }, {});

test("A worker's configuration is looked at from its own folder, and each fault is named", async () => {
  const config = {
    ...{ url: "http://127.0.0.1:9", key: { file: "worker.key" }, pool: "gpu", stateDir: "state" },
    trustedKeys: [{ file: "signing.pub.jwk" }],
    registries: { local: { kind: "oci-layout", path: "missing" } },
    ...{ store: { root: "store" }, secrets: { token: { file: "token" } } },
  };
  await using folder = await folderWith({
    "worker.json": JSON.stringify(config),
    "worker.key": "twp_wkr_x",
    "signing.pub.jwk": JSON.stringify({ kid: "abc" }),
  });
  const checks = await checkWorkerFile(invocation, join(folder.root, "worker.json"));
  const faulty = checks.filter(({ ok }) => !ok).map(({ name }) => name);
  expect(faulty).toEqual(["server", "registry local", "secret token"]);
});

test("What is no configuration of a worker is refused", async () => {
  await using folder = await folderWith({ "worker.json": "{}" });
  const failure = await caught(checkWorkerFile(invocation, join(folder.root, "worker.json")));
  expect(failure).toMatchObject({ exit: "configuration" });
});
