import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import { join } from "node:path";
import { expect, test } from "vitest";
import { folderWith } from "../fixture.ts";
import { beginInvocation } from "../kernel/invocation.ts";
import { checkWorkerFile } from "./worker-file.ts";

const silent = { write: () => true };
const invocation = beginInvocation({ stdout: silent, stderr: silent }, {});

/** A web server that gives one answer. */
async function serving(answer: (response: ServerResponse) => void) {
  const server = createServer((_, response) => answer(response)).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server listens on a port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** What `doctor --config` finds about a registry. The secret of each is in the variable SECRET. */
async function checked(registry: object, secret: string | undefined = "s3cret-of-mine") {
  await using folder = await folderWith({
    "worker.json": JSON.stringify({
      url: "http://127.0.0.1:9",
      key: { file: "worker.key" },
      pool: "gpu",
      stateDir: "state",
      trustedKeys: [{ kid: "abc" }],
      store: { root: "store" },
      registries: { code: registry },
    }),
  });
  const { PATH } = process.env;
  const config = { ...invocation.config, environment: { PATH, ...(secret && { SECRET: secret }) } };
  const checks = await checkWorkerFile({ ...invocation, config }, join(folder.root, "worker.json"));
  const found = checks.find(({ name }) => name === "registry code");
  expect(`${found?.detail}${found?.fix}`).not.toContain("s3cret-of-mine");
  return found;
}

const password = { env: "SECRET" };
const KINDS = {
  oci: (url: string) => ({ kind: "oci", url: `${url}/data/flows`, username: "me", password }),
  s3: (url: string) => ({
    kind: "s3",
    url: "s3://code/flows",
    endpoint: url,
    accessKeyId: password,
    secretAccessKey: password,
  }),
  npm: (url: string) => ({ kind: "npm", url, package: "@data/flows", token: password }),
  archive: (url: string) => ({ kind: "archive", url: `${url}/flows`, token: password }),
};

for (const [kind, at] of Object.entries(KINDS)) {
  test(`A registry of kind ${kind} is not right if its login is refused, if a page answers, or if nobody does`, async () => {
    await using refusing = await serving((response) => void response.writeHead(401).end());
    expect(await checked(at(refusing.url))).toMatchObject({
      ok: false,
      detail: expect.stringContaining("refuses access"),
      fix: expect.stringContaining("username and password"),
    });
    await using page = await serving((response) => {
      response.writeHead(200, { "content-type": "text/html" }).end("<h1>Sign in</h1>");
    });
    expect(await checked(at(page.url))).toMatchObject({
      ok: false,
      detail: expect.stringMatching(/Another program may answer/),
    });
    expect(await checked(at("http://127.0.0.1:9"))).toMatchObject({
      ok: false,
      detail: expect.stringContaining("ECONNREFUSED"),
    });
  });

  test(`A registry of kind ${kind} whose secret is missing is named with the place of the secret`, async () => {
    expect(await checked(at("http://127.0.0.1:9"), "")).toMatchObject({
      ok: false,
      detail: expect.stringMatching(
        /its (password|token|accessKeyId) cannot be read from the variable SECRET/,
      ),
    });
  });
}

test("A git registry over SSH needs a key and host keys, and is asked with them", async () => {
  const ssh = { kind: "git", url: "ssh://git@127.0.0.1:9/flows.git", key: password };
  expect(await checked(ssh)).toMatchObject({ ok: false, detail: "it has no knownHosts" });
  const whole = { ...ssh, knownHosts: password };
  expect(await checked(whole, "")).toMatchObject({
    ok: false,
    detail: "its key cannot be read from the variable SECRET",
  });
  expect(await checked(whole)).toMatchObject({
    ok: false,
    detail: expect.stringContaining("cannot be reached"),
    fix: expect.stringContaining("ssh-keyscan"),
  });
});
