import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { z } from "zod";
import { startProcess } from "../harness/process.ts";
import { cleanEnv } from "../harness/stack.ts";

const VERSION = "4.32.5";
const HOME = fileURLToPath(new URL("../../.cache/fuzz/", import.meta.url));
const PROGRAM = join(HOME, "bin/schemathesis");
/** Written last: an interrupted installation is repeated. */
const STAMP = join(HOME, "installed");

const run = promisify(execFile);

/** The fuzz test cannot be set up here. The message says what to do. */
export class SetUpError extends Error {
  override readonly name = "SetUpError";
}

async function step(command: string, args: readonly string[], advice: string): Promise<void> {
  try {
    await run(command, args, { maxBuffer: 16 * 1024 * 1024 });
  } catch (error) {
    const said = error instanceof Error ? error.message.trim().split("\n").slice(-8).join("\n  ") : "";
    throw new SetUpError(`${advice}\n  ${said}`);
  }
}

/**
 * Installs Schemathesis once, in its own Python environment in `.cache/fuzz`.
 * @throws SetUpError if Python is missing, or the package cannot be downloaded.
 */
export async function installSchemathesis(): Promise<void> {
  if (existsSync(STAMP) && (await readFile(STAMP, "utf8")) === VERSION) return;
  await step(
    "python3",
    ["-c", "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))"],
    "The fuzz needs `python3`, version 3.10 or newer, with its venv module. Install it (Debian: `apt-get install python3-venv`), then run `npm run fuzz` again.",
  );
  console.log(`Installing Schemathesis ${VERSION} in .cache/fuzz.`);
  await rm(HOME, { recursive: true, force: true });
  await mkdir(HOME, { recursive: true });
  await step("python3", ["-m", "venv", HOME], "A Python environment cannot be made in .cache/fuzz.");
  await step(
    join(HOME, "bin/pip"),
    ["install", "--quiet", "--disable-pip-version-check", `schemathesis==${VERSION}`],
    `Schemathesis ${VERSION} cannot be installed. Check pip's network and index settings (\`pip config list\`), then run \`npm run fuzz\` again.`,
  );
  await writeFile(STAMP, VERSION);
}

/** A part of the JSON report. */
const Report = z.object({
  complete: z.boolean(),
  operations: z.object({ selected: z.int(), tested: z.int(), errored: z.int() }),
  test_cases: z.object({ generated: z.int(), unique_failures: z.int() }),
  valid_rates: z.record(z.string(), z.record(z.string(), z.object({ accepted: z.int() }).nullable())),
});

/** The outcome of a pass. */
export interface Found {
  readonly operations: number;
  readonly requests: number;
  /** How many requests succeeded. */
  readonly accepted: number;
  /** How many distinct failures. 0 with `ok` false means that the pass itself broke. */
  readonly failures: number;
  readonly ok: boolean;
  /** Schemathesis's output about failures and errors, with an example request for each. */
  readonly text: string;
}

/** Checks: answers have the documented status, media type and shape; none is a server error, or slow. */
const CHECKS = [
  "not_a_server_error",
  "status_code_conformance",
  "content_type_conformance",
  "response_schema_conformance",
];

/** Sends generated requests to a control plane, from an OpenAPI document in a file. */
export async function playRequests(options: {
  folder: string;
  document: string;
  url: string;
  token: string | null;
  seed: number;
  examples: number;
  slowMs: number;
}): Promise<Found> {
  const report = `${options.document}.report.json`;
  const args = [
    "run",
    options.document,
    "--url",
    options.url,
    "--no-color",
    "--warnings",
    "off",
    "--phases",
    "coverage,fuzzing",
    "--checks",
    CHECKS.join(","),
    "--max-response-time",
    String(options.slowMs / 1000),
    "--request-timeout",
    "30",
    "--max-examples",
    String(options.examples),
    "--seed",
    String(options.seed),
    "--generation-database",
    "none",
    "--suppress-health-check",
    "all",
    "--continue-on-failure",
    "--report",
    "json",
    "--report-json-path",
    report,
    ...(options.token === null ? [] : ["--header", `Authorization: Bearer ${options.token}`]),
  ];
  await using program = startProcess({ command: PROGRAM, args, cwd: options.folder, env: cleanEnv({}) });
  const code = await program.exited;
  const output = program.output();
  const parsed = existsSync(report)
    ? Report.safeParse(JSON.parse(await readFile(report, "utf8")))
    : undefined;
  if (parsed?.success !== true)
    return { operations: 0, requests: 0, accepted: 0, failures: 0, ok: false, text: output };
  const { complete, operations, test_cases: cases, valid_rates: rates } = parsed.data;
  const phases = Object.values(rates).flatMap((of) => Object.values(of));
  return {
    operations: operations.tested,
    requests: cases.generated,
    accepted: phases.reduce((sum, phase) => sum + (phase?.accepted ?? 0), 0),
    failures: cases.unique_failures,
    ok: code === 0 && complete && operations.tested === operations.selected,
    text: /^=+ (?:FAILURES|ERRORS) =+\n[\s\S]*?(?=^=+ SUMMARY =+$)/m.exec(output)?.[0] ?? output,
  };
}
