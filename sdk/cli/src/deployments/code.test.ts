import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmod, mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import { extract } from "tar-stream";
import { describe, expect, test } from "vitest";
import { caught, codeFile, folderWith } from "../fixture.ts";
import { bundleModules } from "./bundle.ts";
import { CODE_LIMITS, codeTree } from "./code-tree.ts";
import { pushToGit, withoutPassword } from "./git.ts";
import { imageOf, OCI_MEDIA, pushToLayout } from "./oci-layout.ts";
import { matchesPattern, readProjectFiles } from "./project-files.ts";

const environment = { PATH: process.env.PATH, HOME: "/nonexistent" };
const tree = codeTree([
  codeFile("b/c.js", "two"),
  codeFile("a.js", "one"),
  codeFile("run.sh", "#!/bin/sh\n", true),
]);

async function untar(layer: Buffer) {
  const entries: { name: string; mode: number | undefined; text: string }[] = [];
  const archive = extract();
  archive.end(gunzipSync(layer));
  for await (const entry of archive) {
    let text = "";
    for await (const chunk of entry) text += String(chunk);
    entries.push({ name: entry.header.name, mode: entry.header.mode, text });
  }
  return entries;
}

describe("a code tree", () => {
  test("is the same for any order of its files, and the later of two files with one path wins", () => {
    const files = ["a", "b/a", "B", "b", "ä"].map((path) => codeFile(path, path));
    fc.assert(
      fc.property(fc.shuffledSubarray(files, { minLength: 5 }), (shuffled) => {
        expect(codeTree(shuffled)).toEqual(codeTree(files));
      }),
    );
    expect(codeTree([codeFile("a", "1"), codeFile("a", "2")])).toEqual([codeFile("a", "2")]);
  });

  test("refuses content above a limit, with the path", () => {
    const big = { path: "data/big.bin", bytes: new Uint8Array(CODE_LIMITS.fileBytes + 1), executable: false };
    expect(() => codeTree([big])).toThrow("data/big.bin");
    const many = Array.from({ length: CODE_LIMITS.files + 1 }, (_, index) => codeFile(`f${index}`, ""));
    expect(() => codeTree(many)).toThrow("more than 10000 files");
  });
});

describe("a project's files", () => {
  test("leave out dependencies, builds, state, secrets and links", async () => {
    await using folder = await folderWith({
      "src/a.ts": "a",
      "run.sh": "#!",
      ".env": "SECRET=1",
      ".env.local": "SECRET=2",
      "node_modules/x/index.js": "x",
      "deep/node_modules/x.js": "x",
      "dist/a.js": "x",
      ".towpath/keys/signing.jwk": "x",
    });
    await chmod(join(folder.root, "run.sh"), 0o755);
    await symlink("/etc/passwd", join(folder.root, "passwd"));
    const { files, links } = await readProjectFiles(folder.root, { environment });
    expect(files.map(({ path, executable }) => [path, executable]).sort()).toEqual([
      ["run.sh", true],
      ["src/a.ts", false],
    ]);
    expect(links).toEqual(["passwd"]);
  });

  test("are those that git does not ignore, in a repository", async () => {
    await using folder = await folderWith({
      ".gitignore": "out/\n*.secret\n",
      "kept.ts": "",
      "new/kept.ts": "",
      "out/a.js": "",
      "a.secret": "",
    });
    execFileSync("git", ["init", "-q"], { cwd: folder.root });
    const { files } = await readProjectFiles(folder.root, { environment });
    expect(files.map(({ path }) => path).sort()).toEqual([".gitignore", "kept.ts", "new/kept.ts"]);
  });

  test("can be narrowed by patterns", async () => {
    await using folder = await folderWith({ "python/train.py": "", "python/data/a.csv": "", "notes.md": "" });
    const patterns = ["python"];
    const { files } = await readProjectFiles(folder.root, { environment, patterns });
    expect(files.map(({ path }) => path).sort()).toEqual(["python/data/a.csv", "python/train.py"]);
  });

  test.each([
    ["python", "python/a/b.csv", true],
    ["python/*.py", "python/train.py", true],
    ["python/*.py", "python/deep/train.py", false],
    ["**/*.csv", "a/b/c.csv", true],
    ["**/*.csv", "c.csv", true],
    ["data/**", "data/a/b", true],
    ["./data/", "data/a", true],
    ["a.c", "abc", false],
    ["?.md", "a.md", true],
  ])("the pattern %s on %s: %s", (pattern, path, matches) => {
    expect(matchesPattern(path, pattern)).toBe(matches);
  });
});

describe("a bundle", () => {
  const files = {
    "src/greeting.ts": "export const shared: string = 'shared';",
    "src/one/flow.ts": "import { shared } from '../greeting.ts';\nexport const one = shared + ' one';",
    "src/two.ts":
      "import { shared } from './greeting.ts';\nimport { createRequire } from 'node:module';\nconst require = createRequire(import.meta.url);\nexport const two = shared + require('node:os').EOL;",
    "legacy.cjs": "module.exports = require('node:path').basename(__filename ?? 'x');",
  };

  test("runs from another folder, with paths that follow the sources", async () => {
    await using project = await folderWith(files);
    await using elsewhere = await folderWith();
    const { files: built, modules } = await bundleModules(project.root, ["src/one/flow.ts", "src/two.ts"]);
    expect(Object.fromEntries(modules)).toEqual({
      "src/one/flow.ts": "src/one/flow.js",
      "src/two.ts": "src/two.js",
    });
    for (const { path, bytes } of built) {
      await mkdir(join(elsewhere.root, path, ".."), { recursive: true });
      await writeFile(join(elsewhere.root, path), bytes);
    }
    await writeFile(join(elsewhere.root, "package.json"), '{"type":"module"}');
    expect(await import(join(elsewhere.root, "src/one/flow.js"))).toMatchObject({ one: "shared one" });
    expect(await import(join(elsewhere.root, "src/two.js"))).toMatchObject({ two: "shared\n" });
  });

  test("is the same bytes wherever the project lies", async () => {
    await using here = await folderWith(files);
    await using there = await folderWith(files);
    const build = (root: string) => bundleModules(root, ["src/two.ts", "src/one/flow.ts"]);
    expect((await build(here.root)).files).toEqual((await build(there.root)).files);
  });

  test("names file and line of a fault", async () => {
    await using project = await folderWith({ "bad.ts": "export const a = ;" });
    expect(String(await caught(bundleModules(project.root, ["bad.ts"])))).toContain("bad.ts:1: Unexpected");
  });
});

describe("an OCI image layout", () => {
  test("holds what was pushed, each blob under its digest", async () => {
    await using folder = await folderWith();
    const { digest } = await pushToLayout(tree, { path: folder.root, project: "demo" });
    const blob = (of: string) => readFile(join(folder.root, "blobs", ...of.split(":")));
    const manifest = JSON.parse(String(await blob(digest)));
    expect(manifest).toMatchObject({ mediaType: OCI_MEDIA.manifest, artifactType: OCI_MEDIA.code });
    for (const { digest: of, size } of [manifest.config, ...manifest.layers]) {
      const bytes = await blob(of);
      expect(`sha256:${createHash("sha256").update(bytes).digest("hex")}`).toBe(of);
      expect(bytes.length).toBe(size);
    }
    expect(await untar(await blob(manifest.layers[0].digest))).toEqual([
      { name: "a.js", mode: 0o644, text: "one" },
      { name: "b/c.js", mode: 0o644, text: "two" },
      { name: "run.sh", mode: 0o755, text: "#!/bin/sh\n" },
    ]);
  });

  test("gives the same tree the same digest, and names only the newest", async () => {
    await using folder = await folderWith();
    const to = { path: folder.root, project: "demo" };
    const first = await pushToLayout(tree, to);
    expect((await imageOf(tree)).digest).toBe(first.digest);
    const second = await pushToLayout(codeTree([...tree, codeFile("new.js", "x")]), to);
    await pushToLayout(tree, { ...to, project: "other" });
    const index = JSON.parse(await readFile(join(folder.root, "index.json"), "utf8"));
    const named = index.manifests.map((one: { digest: string; annotations?: object }) => [
      one.digest,
      Object.values(one.annotations ?? {})[0],
    ]);
    expect(named).toEqual([
      [first.digest, "other"],
      [second.digest, "demo"],
    ]);
  });
});

describe("a git remote", () => {
  async function remote() {
    const folder = await folderWith();
    execFileSync("git", ["init", "-q", "--bare", folder.root]);
    return folder;
  }
  const git = (root: string, ...args: string[]) =>
    execFileSync("git", ["-C", root, ...args], { encoding: "utf8" });

  test("gets the tree as a commit on the project's branch, on top of the earlier commits", async () => {
    await using bare = await remote();
    const target = { url: bare.root, project: "demo", environment };
    const first = await pushToGit(tree, target);
    const odd = codeTree([...tree, codeFile('od "d\\name\n.js', "odd")]);
    const second = await pushToGit(odd, target);
    expect(git(bare.root, "log", "--format=%H", "towpath/demo").trim().split("\n")).toEqual([
      second.digest,
      first.digest,
    ]);
    expect(git(bare.root, "show", `${first.digest}:b/c.js`)).toBe("two");
    expect(git(bare.root, "ls-tree", "-r", first.digest)).toMatch(/100755 blob \w+\trun\.sh/);
    expect(git(bare.root, "ls-tree", "-rz", "--name-only", second.digest)).toContain('od "d\\name\n.js');
  });

  test("does not get an unchanged tree again, nor anything from a dry run", async () => {
    await using bare = await remote();
    const target = { url: bare.root, project: "demo", environment };
    const planned = await pushToGit(tree, { ...target, dryRun: true });
    expect(git(bare.root, "branch", "--list").trim()).toBe("");
    const first = await pushToGit(tree, target);
    expect(planned).toEqual(first);
    expect(await pushToGit(tree, target)).toEqual({ ...first, isNew: false });
  });

  test("that does not exist is named without its password", async () => {
    const target = { url: "file://user:hunter2@/nowhere/at/all", project: "demo", environment };
    const failure = await caught(pushToGit(tree, target));
    expect(failure).toMatchObject({ code: "git", exit: "unreachable" });
    expect(withoutPassword("https://me:hunter2@git.internal/x")).toBe("https://me:***@git.internal/x");
  });
});
