import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { caught, codeFile, folderWith } from "../fixture.ts";
import { stateFolder } from "../kernel/state-folder.ts";
import { bundleSize, bundleText, checkGrowth, noteSize } from "./bundle-size.ts";
import { DATA_FILE_MIN_BYTES } from "./left-out.ts";
import { readProjectFiles } from "./project-files.ts";

const environment = { PATH: process.env.PATH };
const LARGE = "x".repeat(DATA_FILE_MIN_BYTES);
const pathsOf = (files: readonly { path: string }[]) => files.map(({ path }) => path).sort();

test("large data files are left out and named; small data files, other large files and files of a pattern are code", async () => {
  await using folder = await folderWith({
    "flow.py": "print(1)",
    "codes.csv": "de,Germany",
    "data/flights.parquet": LARGE,
    "model.txt": LARGE,
  });
  const all = await readProjectFiles(folder.root, { environment });
  expect(pathsOf(all.files)).toEqual(["codes.csv", "flow.py", "model.txt"]);
  expect(all.data).toEqual([{ path: "data/flights.parquet", bytes: DATA_FILE_MIN_BYTES }]);
  const asked = await readProjectFiles(folder.root, { environment, patterns: ["data/**"] });
  expect(pathsOf(asked.files)).toEqual(["data/flights.parquet"]);
  expect(asked.data).toEqual([]);
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
