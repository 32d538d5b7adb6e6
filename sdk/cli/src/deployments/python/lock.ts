import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { normalised, type PythonEnvironment, readRequirements } from "@towpath/contract";
import { parse } from "smol-toml";
import type { LockOptions } from "towpath/config";
import { z } from "zod";
import { Failure } from "../../failure.ts";
import { readIfThere } from "../../kernel/state-folder.ts";
import type { CodeFile } from "../code-tree.ts";

const run = promisify(execFile);

/** The requirements of a project's environment, in its code. */
const REQUIREMENTS_FILE = "towpath.requirements.txt";
/** How long uv may take to read a lock, milliseconds. */
const EXPORT_MS = 120_000;
const UV_LOCK = "uv.lock";
/** The package that every flow needs. */
const OWN = "towpath";
/** The most lines of uv's output that a failure shows. */
const LINES_MAX = 4;

/** The environment of a project's Python flows: what specs say of it, and the file that the code has. */
export interface ProjectEnvironment {
  readonly environment: Extract<PythonEnvironment, { kind: "lock" }>;
  readonly file: CodeFile;
}

function faulty(code: string, message: string, next: readonly string[]): Failure {
  return new Failure(message, { exit: "configuration", code, next });
}

/** How to make each kind of lock anew. */
function advice(lock: string): string {
  if (lock === UV_LOCK) return "run `uv lock`";
  if (lock.endsWith(".toml")) return `run \`uv export --format pylock.toml -o ${lock}\``;
  return `run \`uv pip compile --generate-hashes pyproject.toml -o ${lock}\`, or the same with \`pip-compile\``;
}

/** What to do about a missing hash. uv notes none for a wheel in a folder. */
function hashAdvice(lock: string): string[] {
  const again = `${advice(lock)}: workers install only what has a hash`;
  if (lock !== UV_LOCK) return [again];
  const compiled = "uv pip compile --generate-hashes pyproject.toml -o requirements.txt";
  return [
    again,
    `if the package is a wheel in a folder (\`--find-links\`), uv.lock has no hash: run \`${compiled}\`, and name that file as the lock`,
  ];
}

/**
 * Reads a project's lock: `uv.lock`, `pylock.toml` or requirements with hashes. The code gets requirements without addresses.
 * @param python The version of Python if the lock's options name none, `3.12.1`.
 * @throws Failure if the lock is missing, stale, without hashes or without `towpath`.
 */
export async function readLock(
  root: string,
  { options, python }: { options: LockOptions; python: string },
): Promise<ProjectEnvironment> {
  const { lock, indexes = [], build = [] } = options;
  const path = join(root, lock);
  if (!existsSync(path))
    throw faulty("no-lock", `There is no ${lock} in ${root}.`, [
      advice(basename(lock)),
      "or correct `environment.lock`",
    ]);
  const given = await requirementsOf(root, lock);
  const packages = readRequirements(given).filter(({ text }) => !isIndexOption(text));
  const wrong = packages.find(({ fault }) => fault !== null);
  if (wrong?.fault === "no-hash")
    throw faulty("lock-without-hashes", `${lock} has no hash for ${wrong.name}.`, hashAdvice(basename(lock)));
  if (wrong !== undefined)
    throw faulty(
      "lock-not-pinned",
      `${lock} has an entry that is no pinned version: ${wrong.text.slice(0, 80)}`,
      ["a worker installs packages from its indexes: publish this one there, and lock again"],
    );
  await checkNames(root, { lock, names: new Set(packages.map(({ name }) => name)) });
  const bytes = new TextEncoder().encode(`${packages.map(({ text }) => text).join("\n")}\n`);
  const digest = createHash("sha256").update(bytes).digest("hex");
  const minor = options.python ?? python.split(".").slice(0, 2).join(".");
  const common = { kind: "lock" as const, python: minor, requirements: REQUIREMENTS_FILE, digest };
  return {
    environment: { ...common, indexes: [...indexes], build: build.map(normalised) },
    file: { path: REQUIREMENTS_FILE, bytes, executable: false },
  };
}

/** A worker asks only the indexes of its own configuration. */
function isIndexOption(text: string): boolean {
  return /^(?:-i|--index-url|--extra-index-url|-f|--find-links|--trusted-host|--no-index|--only-binary|--require-hashes)\b/.test(
    text,
  );
}

async function requirementsOf(root: string, lock: string): Promise<string> {
  if (basename(lock) === UV_LOCK) return await exportUv(root, lock);
  const text = (await readIfThere(join(root, lock))) ?? "";
  return lock.endsWith(".toml") ? fromPylock(lock, text) : text;
}

/** uv's own lock, as uv exports it: which packages a platform needs follows from the whole graph. */
async function exportUv(root: string, lock: string): Promise<string> {
  const own = join(root, ".venv", "bin", "uv");
  const words = [
    "--format",
    "requirements.txt",
    "--no-emit-project",
    "--no-dev",
    "--no-header",
    "--no-annotate",
  ];
  try {
    const { stdout } = await run(existsSync(own) ? own : "uv", ["export", "--locked", "--quiet", ...words], {
      cwd: root,
      timeout: EXPORT_MS,
      maxBuffer: 64 * 1024 * 1024,
    });
    return stdout;
  } catch (error) {
    const { code, stderr = "" } = error as { code?: unknown; stderr?: string };
    if (code === "ENOENT")
      throw faulty("no-uv", `${lock} is read with uv, which was not found.`, [
        "install it: `pip install uv`",
        "or deploy an exported lock: `uv export --format pylock.toml -o pylock.toml`",
      ]);
    const said = stderr.trim().split("\n").slice(0, LINES_MAX);
    if (/needs to be updated|--locked/.test(stderr))
      throw faulty("stale-lock", `${lock} does not match pyproject.toml.`, [
        "run `uv lock`, and deploy again",
      ]);
    throw faulty("bad-lock", `${lock} cannot be read by uv.`, said);
  }
}

const Hashes = z.record(z.string(), z.string());
const Pylock = z.object({
  packages: z.array(
    z.object({
      name: z.string(),
      version: z.string().optional(),
      marker: z.string().optional(),
      wheels: z.array(z.object({ hashes: Hashes })).optional(),
      sdist: z.object({ hashes: Hashes }).optional(),
    }),
  ),
});

/** A lock of PEP 751 as requirements. A package from a folder or a repository has no version with hashes. */
function fromPylock(lock: string, text: string): string {
  let data: unknown;
  try {
    data = parse(text);
  } catch (error) {
    throw faulty(
      "bad-lock",
      `${lock} is no valid TOML: ${error instanceof Error ? error.message.split("\n")[0] : ""}`,
      [advice(lock)],
    );
  }
  const parsed = Pylock.safeParse(data);
  if (!parsed.success) throw faulty("bad-lock", `${lock} is no lock of PEP 751.`, [advice(lock)]);
  return parsed.data.packages
    .map(({ name, version, marker, wheels = [], sdist }) => {
      const files = sdist === undefined ? wheels : [...wheels, sdist];
      const hashes = files.flatMap(({ hashes: { sha256 } }) =>
        sha256 === undefined ? [] : `--hash=sha256:${sha256}`,
      );
      const pinned = version === undefined ? `${name} @ a folder or a repository` : `${name}==${version}`;
      return [marker === undefined ? pinned : `${pinned} ; ${marker}`, ...hashes].join(" ");
    })
    .join("\n");
}

const Manifest = z.object({
  project: z.object({ name: z.string().optional(), dependencies: z.array(z.string()).catch([]) }).optional(),
});

/** @throws Failure if `towpath`, or a dependency of the project, is not in the lock. */
async function checkNames(
  root: string,
  { lock, names }: { lock: string; names: ReadonlySet<string> },
): Promise<void> {
  const text = (await readIfThere(join(root, "pyproject.toml"))) ?? "";
  const manifest = Manifest.safeParse(parse(text));
  const dependencies = manifest.data?.project?.dependencies ?? [];
  const missing = dependencies
    .map((one) => normalised(/^[A-Za-z0-9._-]+/.exec(one.trim())?.[0] ?? ""))
    .find((name) => name !== "" && !names.has(name));
  if (!names.has(OWN))
    throw faulty("lock-without-towpath", `${lock} has no package ${OWN}, which every flow imports.`, [
      dependencies.some((one) => normalised(one).startsWith(OWN))
        ? `${advice(basename(lock))}, and deploy again`
        : "add it to `dependencies` in pyproject.toml, then lock again",
    ]);
  if (missing !== undefined)
    throw faulty("stale-lock", `${lock} has no package ${missing}, which pyproject.toml needs.`, [
      `${advice(basename(lock))}, and deploy again`,
    ]);
}
