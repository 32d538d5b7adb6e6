import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { failure, makeRepository, PASSWORD, root, serve, servers, USERNAME } from "./git-fetch.fixture.ts";
import { GitServer } from "./git-server.fixture.ts";

describe("unavailable:", () => {
  test("wrong credentials", async () => {
    const server = await serve({ credentials: "a:b" });
    const { name, shas } = await makeRepository([{ f: "1" }]);
    const url = `${server.url}/${name}`;
    for (const credentials of [{}, { username: "a", password: "wrong-password" }]) {
      const error = await failure({ kind: "git", url, ...credentials }, shas[0] ?? "");
      expect(error).toMatchObject({ code: "unauthorized", retryable: false });
      expect(JSON.stringify(error) + String(error)).not.toContain("wrong-password");
    }
  });

  test("a missing repository", async () => {
    const server = await serve();
    const source = { kind: "git", url: `${server.url}/nowhere.git` } as const;
    expect(await failure(source, "a".repeat(40))).toMatchObject({ code: "not-found" });
    const local = { kind: "git", url: `file://${root}/nowhere.git` } as const;
    expect(await failure(local, "a".repeat(40))).toMatchObject({ code: "not-found" });
  });

  test("a missing commit", async () => {
    const server = await serve();
    const { name } = await makeRepository([{ f: "1" }]);
    const source = { kind: "git", url: `${server.url}/${name}` } as const;
    expect(await failure(source, "a".repeat(40))).toMatchObject({ code: "not-found" });
  });

  test("a server that is down, or that answers with an error", async () => {
    const server = await GitServer.serve((_, response) => response.writeHead(503).end());
    const source = { kind: "git", url: `${server.url}/x.git` } as const;
    expect(await failure(source, "a".repeat(40))).toMatchObject({
      code: "registry-unreachable",
      retryable: true,
    });
    await server.stop();
    expect(await failure(source, "a".repeat(40))).toMatchObject({ code: "registry-unreachable" });
  });

  test("credentials that a server repeats in its error do not reach the log", async () => {
    const server = await GitServer.serve((request, response) => {
      const said = `ERR you sent ${request.headers.authorization} and ${request.headers["private-token"]}\n`;
      const line = `${(said.length + 4).toString(16).padStart(4, "0")}${said}`;
      const type = "application/x-git-upload-pack-advertisement";
      response.writeHead(200, { "content-type": type }).end(`001e# service=git-upload-pack\n0000${line}0000`);
    });
    servers.push(server);
    const error = await failure(
      {
        kind: "git",
        url: `${server.url}/x.git`,
        username: USERNAME,
        password: PASSWORD,
        extraHeaders: { "PRIVATE-TOKEN": "glpat-1234567890" },
      },
      "a".repeat(40),
    );
    expect(error).toMatchObject({
      output: expect.stringContaining("you sent Basic [redacted] and [redacted]"),
    });
  });

  test("a server that never answers, within the time limit, and nothing keeps running", async () => {
    const hungUp = Promise.withResolvers<void>();
    const server = await GitServer.serve((request) => request.socket.once("close", () => hungUp.resolve()));
    servers.push(server);
    const source = { kind: "git", url: `${server.url}/x.git` } as const;
    const error = await failure(source, "a".repeat(40), { limits: { timeMs: 1_000 } });
    expect(error).toMatchObject({ code: "timeout", retryable: true });
    await hungUp.promise;
  });

  test("no git on this machine", async () => {
    const { dir, shas } = await makeRepository([{ f: "1" }]);
    const source = { kind: "git", url: `file://${dir}/.git` } as const;
    const error = await failure(source, shas[0] ?? "", { git: { path: join(root, "no-git") } });
    expect(error).toMatchObject({ code: "git-missing", message: expect.stringContaining("Install git") });
  });
});
