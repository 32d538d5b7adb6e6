import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, onTestFinished, test } from "vitest";
import { runWith, venvWith } from "../components/venv.ts";
import { hasPython } from "./interpreters.ts";

const PACKAGE = fileURLToPath(new URL("../../sdk/python/src/towpath", import.meta.url));
const TYPES = fileURLToPath(new URL("../../sdk/python/tests/type_checked", import.meta.url));
/** The type checkers, and the libraries that a type checker must know. Those of clusters are large, and only imported. */
const PACKAGES = ["basedpyright", "ipykernel", "mypy", "nbclient", "nbformat", "typing-extensions"];
/** The oldest Python that the package supports. */
const OLDEST = "3.10";

/** A file and a line where a type checker found a fault. */
const FAULT = /^\s*(?:.*\/)?([\w/]+\.py):(\d+)(?::\d+)?(?: -|:) error: (.*)/gm;

async function mypy(): Promise<string> {
  const python = await venvWith(PACKAGES);
  const words = [
    "-m",
    "mypy",
    "--strict",
    "--python-version",
    OLDEST,
    "--disable-error-code=import-not-found",
  ];
  const { output } = await runWith(python, [...words, PACKAGE, TYPES], {
    env: { MYPYPATH: join(PACKAGE, "..") },
  });
  return output;
}

async function pyright(): Promise<string> {
  const python = await venvWith(PACKAGES);
  const folder = await mkdtemp(join(tmpdir(), "towpath-types-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const settings = {
    include: [PACKAGE, TYPES],
    extraPaths: [join(PACKAGE, "..")],
    typeCheckingMode: "standard",
    pythonVersion: OLDEST,
    // Libraries of extras are not installed.
    reportMissingImports: "none",
    reportMissingModuleSource: "none",
  };
  await writeFile(join(folder, "pyrightconfig.json"), JSON.stringify(settings));
  const words = ["-m", "basedpyright", "--pythonpath", python, "-p", folder];
  const { output } = await runWith(python, words);
  return output;
}

/** The lines of wrong.py that a type checker must refuse. */
async function wrongLines(checker: string): Promise<number[]> {
  const lines = (await readFile(join(TYPES, "wrong.py"), "utf8")).split("\n");
  return lines.flatMap((line, index) => {
    const [, by] = /# wrong: (\w+)$/.exec(line) ?? [];
    return by === "both" || by === checker ? [index + 1] : [];
  });
}

describe.skipIf(!hasPython).each([
  { checker: "mypy", run: mypy },
  { checker: "pyright", run: pyright },
])("types of the Python package", { timeout: 1_200_000 }, ({ checker, run }) => {
  test(`are right for ${checker}, and wrong uses are refused`, async () => {
    const output = await run();
    const faults = [...output.matchAll(FAULT)].map(([, file = "", line, text]) => ({
      file: file.split("/").at(-1),
      line: Number(line),
      text,
    }));
    expect(faults.filter(({ file }) => file !== "wrong.py")).toEqual([]);
    const refused = [...new Set(faults.map(({ line }) => line))].sort((a, b) => a - b);
    expect(refused).toEqual(await wrongLines(checker));
    expect(refused.length).toBeGreaterThan(10);
  });
});
