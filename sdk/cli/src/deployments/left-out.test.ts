import { execFileSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { caught, codeFile, folderWith } from "../fixture.ts";
import { stateFolder } from "../kernel/state-folder.ts";
import { bundleSize, bundleText, checkGrowth, noteSize } from "./bundle-size.ts";
import { leftOutText } from "./left-out.ts";
import { readProjectFiles } from "./project-files.ts";

const environment = { PATH: process.env.PATH };
const LARGE = "x".repeat(1024 * 1024);
const pathsOf = (files: readonly { path: string }[]) => files.map(({ path }) => path).sort();

test("data files of every size are left out and named; other large files and files of a pattern are code", async () => {
  await using folder = await folderWith({
    "flow.py": "print(1)",
    "codes.csv": "de,Germany",
    "cache.db": "x",
    "cache.db-wal": "x",
    "data/flights.parquet": LARGE,
    "names.json": "{}",
    "model.txt": LARGE,
  });
  const all = await readProjectFiles(folder.root, { environment });
  expect(pathsOf(all.files)).toEqual(["flow.py", "model.txt", "names.json"]);
  expect(pathsOf(all.data)).toEqual(["cache.db", "cache.db-wal", "codes.csv", "data/flights.parquet"]);
  expect(leftOutText(all.data)).toEqual([
    '4 data files are not deployed: data/flights.parquet (1 MiB), codes.csv (10 B), cache.db (1 B) and 1 more. To deploy them, set `files: ["**"]` in towpath.config.ts. If no run reads them from the code, list them in .towpathignore.',
  ]);
  const asked = await readProjectFiles(folder.root, { environment, patterns: ["data/**"] });
  expect(pathsOf(asked.files)).toEqual(["data/flights.parquet"]);
  expect(asked.data).toEqual([]);
  expect(asked.warnings).toEqual([]);
});

test("a pattern without a file and a pattern of an ignored file are warned of", async () => {
  await using folder = await folderWith({ "a.py": "", "data/a.csv": "", ".gitignore": "data/\n" });
  const patterns = ["*.py", "data/a.csv", "data/*.csv", "sql/**"];
  const { files, warnings } = await readProjectFiles(folder.root, { environment, patterns });
  expect(pathsOf(files)).toEqual(["a.py"]);
  expect(warnings).toEqual([
    expect.stringContaining('"data/a.csv" in `files` exists, but it is not deployed'),
    expect.stringContaining('The pattern "data/*.csv" in `files` matches no file'),
    expect.stringContaining('The pattern "sql/**" in `files` matches no file'),
  ]);
});

test("a warning advises `git add --force` only for a file that git alone ignores", async () => {
  await using folder = await folderWith({
    "a.py": "",
    ".env": "",
    "dist/b.js": "",
    "out.csv": "",
    "data/c.csv": "",
    "notes.md": "",
    ".gitignore": "out.csv\ndata/\n.env\n",
    ".towpathignore": "notes.md\n",
  });
  execFileSync("git", ["init", "-q"], { cwd: folder.root });
  const patterns = ["a.py", ".env", "dist", "out.csv", "data", "notes.md", "/a.py", "./dist/b.js"];
  const { files, warnings } = await readProjectFiles(folder.root, { environment, patterns });
  expect(pathsOf(files)).toEqual(["a.py"]);
  const never =
    "exists, but it is not deployed: files of this name are never deployed. Remove it from `files`.";
  expect(warnings).toEqual([
    `".env" in \`files\` ${never}`,
    `"dist" in \`files\` ${never}`,
    '"out.csv" in `files` exists, but it is not deployed: git ignores it. Add it with `git add --force out.csv`, or remove the rule in .gitignore.',
    '"data" in `files` exists, but it is not deployed: it has no file that is deployed. Check .gitignore.',
    '"notes.md" in `files` exists, but it is not deployed: .towpathignore ignores it. Remove the rule.',
    'The pattern "/a.py" in `files` begins with "/", so it matches no file. Patterns begin in the project\'s folder: write "a.py".',
    `"./dist/b.js" in \`files\` ${never}`,
  ]);
});

test.each([".", "./", "**"])(
  "the pattern %j means all files, without those that are never deployed",
  async (pattern) => {
    await using folder = await folderWith({ "a.py": "", "data/c.csv": "", ".env": "" });
    const { files, warnings } = await readProjectFiles(folder.root, { environment, patterns: [pattern] });
    expect(pathsOf(files)).toEqual(["a.py", "data/c.csv"]);
    expect(warnings).toEqual([]);
  },
);

test("a repository that git cannot read is warned of with git's reason; a folder without one is not", async () => {
  await using folder = await folderWith({ "flows/a.py": "", "out.txt": "", ".gitignore": "out.txt\n" });
  expect((await readProjectFiles(folder.root, { environment })).warnings).toEqual([]);
  execFileSync("git", ["init", "-q"], { cwd: folder.root });
  await writeFile(join(folder.root, ".git", "HEAD"), "broken");
  const { files, warnings } = await readProjectFiles(folder.root, { environment });
  expect(pathsOf(files)).toEqual([".gitignore", "flows/a.py"]);
  expect(warnings).toEqual([expect.stringMatching(/^git cannot list the project's files: \S.*git status/)]);
});

test(".gitignore counts without a repository, and .towpathignore with one too", async () => {
  const files = {
    "a.py": "",
    "notes/b.md": "",
    "out/c.py": "",
    ".gitignore": "out/\n",
    ".towpathignore": "notes\n",
  };
  await using plain = await folderWith(files);
  expect(pathsOf((await readProjectFiles(plain.root, { environment })).files)).toEqual([
    ".gitignore",
    ".towpathignore",
    "a.py",
  ]);
  await using repository = await folderWith(files);
  execFileSync("git", ["init", "-q"], { cwd: repository.root });
  expect(pathsOf((await readProjectFiles(repository.root, { environment })).files)).toEqual([
    ".gitignore",
    ".towpathignore",
    "a.py",
  ]);
});

test("code that has grown tenfold since the last deploy is refused, and the failure names the largest files", async () => {
  await using folder = await folderWith();
  const state = stateFolder(join(folder.root, ".towpath"));
  const sizeOf = (kilobytes: number) =>
    bundleSize([codeFile("a.py", ""), codeFile("big.bin", "x".repeat(kilobytes * 1024))]);
  const check = (kilobytes: number) => checkGrowth(state, { project: "demo", size: sizeOf(kilobytes) });
  await check(5_000);
  await noteSize(state, { project: "demo", size: sizeOf(200) });
  await check(1_900);
  await checkGrowth(state, { project: "other", size: sizeOf(5_000) });
  expect(await caught(check(2_000))).toMatchObject({
    code: "code-grew",
    message: "The code has grown from 200 KiB to 1.95 MiB since the last deploy. Nothing was registered.",
    next: ["largest files: big.bin (1.95 MiB), a.py (0 B)", expect.stringContaining("--yes")],
  });
});

test("small code may grow without confirmation", async () => {
  await using folder = await folderWith();
  const state = stateFolder(folder.root);
  await noteSize(state, { project: "demo", size: bundleSize([codeFile("a.py", "x")]) });
  const size = bundleSize([codeFile("a.py", "x".repeat(100_000))]);
  await checkGrowth(state, { project: "demo", size });
  expect(bundleText(size)).toBe("code: 1 file, 97.66 KiB; largest: a.py 97.66 KiB");
});
