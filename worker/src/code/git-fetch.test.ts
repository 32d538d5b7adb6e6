import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmod, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { fetchCode } from "./fetch-code.ts";
import {
  commitAll,
  failure,
  makeRepository,
  never,
  openCache,
  PASSWORD,
  root,
  serve,
  servers,
  USERNAME,
} from "./git-fetch.fixture.ts";
import { GitServer, git } from "./git-server.fixture.ts";

test("a commit is fetched over HTTP with basic auth, and the password shows up nowhere", async () => {
  const server = await serve({ credentials: `${USERNAME}:${PASSWORD}` });
  const { name, shas } = await makeRepository([{ "flow.js": "one" }, { "flow.js": "two", "lib/a.js": "a" }]);
  // A git that writes down its arguments, and afterwards searches all written files for the password.
  const spy = join(root, "spy-git");
  const log = join(root, "spy.log");
  const basic = Buffer.from(`${USERNAME}:${PASSWORD}`).toString("base64");
  await writeFile(
    spy,
    `#!/bin/sh
printf '%s\\n' "$@" >> ${log}
git "$@"; code=$?
if grep -rqaF -e '${PASSWORD}' -e '${basic}' "$HOME"; then echo "found on disk" >> ${log}; fi
exit $code
`,
  );
  await chmod(spy, 0o755);
  const cache = await openCache({ git: { path: spy } });
  const source = {
    kind: "git",
    url: `${server.url}/${name}`,
    username: USERNAME,
    password: PASSWORD,
  } as const;
  for (const [index, content] of ["one", "two"].entries()) {
    const { dir, cached } = await fetchCode(cache, { source, digest: shas[index] ?? "" }, never);
    expect(cached).toBe(false);
    expect(await readFile(join(dir, "flow.js"), "utf8")).toBe(content);
  }
  const said = await readFile(log, "utf8");
  expect(said).toContain("--depth=1");
  expect(said).not.toContain("found on disk");
  expect(said).not.toContain(PASSWORD);
  expect(said).not.toContain(basic);

  const requests = server.requests.length;
  expect((await fetchCode(cache, { source, digest: shas[0] ?? "" }, never)).cached).toBe(true);
  expect(server.requests).toHaveLength(requests);
});

test("extra headers are sent with each request", async () => {
  const server = await serve();
  const { name, shas } = await makeRepository([{ f: "1" }]);
  const source = {
    kind: "git",
    url: `${server.url}/${name}`,
    extraHeaders: { "PRIVATE-TOKEN": "glpat-1234567890", "X-Other": "2" },
  } as const;
  await fetchCode(await openCache(), { source, digest: shas[0] ?? "" }, never);
  expect(server.requests.length).toBeGreaterThan(1);
  for (const { headers } of server.requests) {
    expect(headers).toMatchObject({ "private-token": "glpat-1234567890", "x-other": "2" });
  }
});

test("a server that does not hand out commits by id is asked for its branches and tags", async () => {
  const server = await serve({ protocolV2: false });
  const { name, dir, shas } = await makeRepository([{ f: "1" }, { f: "2" }]);
  git(dir, "update-ref", "refs/heads/--upload-pack=touch-this", shas[0] ?? "");
  git(dir, "update-ref", "refs/heads/-x", shas[0] ?? "");
  const source = { kind: "git", url: `${server.url}/${name}` } as const;
  const [old = "", tip = ""] = shas;
  git(dir, "commit", "--quiet", "--allow-empty", "--message", "on top");
  for (const ref of ["refs/heads/--upload-pack=touch-this", "refs/heads/-x"])
    git(dir, "update-ref", "-d", ref);
  git(dir, "update-ref", "refs/heads/-x", tip);
  const { dir: tree } = await fetchCode(await openCache(), { source, digest: old }, never);
  expect(await readFile(join(tree, "f"), "utf8")).toBe("1");
  expect(await failure(source, "0".repeat(40))).toMatchObject({ code: "not-found", retryable: true });
});

test("a commit of a SHA-256 repository is fetched by its 64 digits", async () => {
  const { dir, shas } = await makeRepository([{ f: "1" }], { objectFormat: "sha256" });
  expect(shas[0]).toMatch(/^[0-9a-f]{64}$/);
  const source = { kind: "git", url: `file://${dir}/.git` } as const;
  const fetched = await fetchCode(await openCache(), { source, digest: shas[0] ?? "" }, never);
  expect(await readFile(join(fetched.dir, "f"), "utf8")).toBe("1");
});

test("the tree is byte for byte that of the commit, whatever its attributes say", async () => {
  const attributes = [
    "*.txt text eol=crlf ident export-subst",
    "hidden export-ignore",
    "*.bin filter=lfs diff=lfs merge=lfs -text",
    "*.utf16 text working-tree-encoding=UTF-16",
  ];
  const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
  const files = {
    ".gitattributes": `${attributes.join("\n")}\n`,
    "a.txt": "line\n$Id$ $Format:%H$\n",
    hidden: "not hidden",
    "model.bin": pointer,
    "-rf": "a name like an option",
  };
  const { dir, shas } = await makeRepository([files]);
  const source = { kind: "git", url: `file://${dir}/.git` } as const;
  const fetched = await fetchCode(await openCache(), { source, digest: shas[0] ?? "" }, never);
  expect((await readdir(fetched.dir)).sort()).toEqual(Object.keys(files).sort());
  for (const [path, content] of Object.entries(files)) {
    expect(await readFile(join(fetched.dir, path), "utf8"), path).toBe(content);
  }
});

test("links inside are kept, submodules stay empty directories", async () => {
  const { dir } = await makeRepository([{ "lib/a.js": "a" }]);
  await symlink("lib/a.js", join(dir, "main.js"));
  git(dir, "update-index", "--add", "--cacheinfo", `160000,${"1".repeat(40)},vendored`);
  await writeFile(join(dir, ".gitmodules"), '[submodule "v"]\n\tpath = vendored\n\turl = ext::touch owned\n');
  git(dir, "add", "main.js", ".gitmodules");
  git(dir, "commit", "--quiet", "--message", "links");
  const source = { kind: "git", url: `file://${dir}/.git` } as const;
  const fetched = await fetchCode(
    await openCache(),
    { source, digest: git(dir, "rev-parse", "HEAD") },
    never,
  );
  expect(await readFile(join(fetched.dir, "main.js"), "utf8")).toBe("a");
  expect(await readdir(join(fetched.dir, "vendored"))).toEqual([]);
});

describe("refused:", () => {
  test("a link out of the tree", async () => {
    const { dir } = await makeRepository([{ f: "1" }]);
    await symlink("../../../../etc/passwd", join(dir, "passwd"));
    const source = { kind: "git", url: `file://${dir}/.git` } as const;
    expect(await failure(source, commitAll(dir))).toMatchObject({ code: "unsafe-archive" });
  });

  test("anything but a full commit id, options and refs above all", async () => {
    const { dir, shas } = await makeRepository([{ f: "1" }]);
    const source = { kind: "git", url: `file://${dir}/.git` } as const;
    const sha = shas[0] ?? "";
    for (const digest of [
      "--upload-pack=touch owned",
      "-x",
      "main",
      "HEAD",
      sha.slice(0, 12),
      `${sha}\n`,
      `${sha}^{}`,
    ]) {
      expect(await failure(source, digest)).toMatchObject({ code: "bad-ref" });
    }
  });

  test("the id of something that is no commit", async () => {
    const { dir } = await makeRepository([{ f: "1" }]);
    git(dir, "tag", "--annotate", "--message", "a tag", "v1");
    const source = { kind: "git", url: `file://${dir}/.git` } as const;
    for (const [name, type] of [
      ["refs/tags/v1", "tag"],
      ["HEAD^{tree}", "tree"],
      ["HEAD:f", "blob"],
    ] as const) {
      const error = await failure(source, git(dir, "rev-parse", name));
      expect(error).toMatchObject({ code: "bad-ref", message: expect.stringContaining(`is a ${type}`) });
    }
  });

  test("a repository that is larger than allowed", async () => {
    const { dir, shas } = await makeRepository([{ "noise.bin": randomBytes(3_000_000) }]);
    const source = { kind: "git", url: `file://${dir}/.git` } as const;
    const limits = { packedBytes: 500_000 };
    expect(await failure(source, shas[0] ?? "", { limits })).toMatchObject({ code: "too-large" });
    const server = await serve();
    const overHttp = { kind: "git", url: `${server.url}/${dir.split("/").at(-1)}/.git` } as const;
    expect(await failure(overHttp, shas[0] ?? "", { limits })).toMatchObject({ code: "too-large" });
  });

  test("urls of other protocols and urls with credentials, without repeating them", async () => {
    const urls = [
      "ext::sh -c 'touch owned'",
      "ssh://git@host/x",
      "git@host:x",
      "-u",
      "--upload-pack=x",
      "/srv/x.git",
      "",
      "https://user:hunter22@host/x",
      "https://token12345@host/x",
      "https://host/x\ny",
      "https://",
      "fd::3",
    ];
    for (const url of urls) {
      const error = await failure({ kind: "git", url }, "a".repeat(40));
      expect(error).toMatchObject({
        code: "bad-source",
        message: expect.not.stringMatching(/hunter22|token12345/),
      });
    }
  });

  test("credentials that could end a header line", async () => {
    const url = "https://127.0.0.1:1/x";
    const sources = [
      { kind: "git", url, username: "a\nX-Evil: 1", password: "b" },
      { kind: "git", url, username: "a:b", password: "c" },
      { kind: "git", url, username: "a", password: "b\r\nX-Evil: 1" },
      { kind: "git", url, extraHeaders: { "X-A: 1\nX-B": "1" } },
      { kind: "git", url, extraHeaders: { "X-A": "1\nX-B: 1" } },
    ] as const;
    for (const source of sources)
      expect(await failure(source, "a".repeat(40))).toMatchObject({ code: "bad-source" });
  });

  test("a redirect, so that credentials never reach another host", async () => {
    const other = await serve();
    const server = await GitServer.serve((request, response) =>
      response.writeHead(302, { location: `${other.url}${request.url}` }).end(),
    );
    servers.push(server);
    const { name, shas } = await makeRepository([{ f: "1" }]);
    const source = {
      kind: "git",
      url: `${server.url}/${name}`,
      username: USERNAME,
      password: PASSWORD,
    } as const;
    expect(await failure(source, shas[0] ?? "")).toMatchObject({ code: "bad-source" });
    expect(server.requests).not.toEqual([]);
    expect(other.requests).toEqual([]);
  });
});

test("the user's own git configuration is not consulted", async () => {
  const { dir, shas } = await makeRepository([{ f: "mine" }]);
  const evil = join(root, "evil-config");
  await writeFile(evil, `[url "file:///nowhere/"]\n\tinsteadOf = file://${dir}/\n`);
  const source = { kind: "git", url: `file://${dir}/.git` } as const;
  const env = { GIT_CONFIG_GLOBAL: evil, GIT_CONFIG_SYSTEM: evil };
  const fetched = await fetchCode(
    await openCache({ git: { env } }),
    { source, digest: shas[0] ?? "" },
    never,
  );
  expect(await readFile(join(fetched.dir, "f"), "utf8")).toBe("mine");
  expect(execFileSync("git", ["--version"], { encoding: "utf8" })).toContain("git version");
});
