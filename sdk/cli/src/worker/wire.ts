import { spawn } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import { text } from "node:stream/consumers";
import { Call, Claim, Fence, fieldsOf, OpenSession, Renew } from "@towpath/contract";
import { z } from "zod";
import { EXIT, Failure } from "../failure.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { programArguments } from "../kernel/programs.ts";
import { readIfThere } from "../kernel/state-folder.ts";
import { onlyRun, typedRun } from "../runs/find.ts";
import { localWorker } from "./config-file.ts";

/** The arguments of `towpath wire RUN`. */
export interface WireRequest {
  readonly run: string;
  readonly pool: string | undefined;
  readonly config: string | undefined;
  readonly raw: boolean;
}

const Count = z.int().min(0);

/** The answer of the worker's program. */
const Wire = z.object({
  runId: z.string(),
  claims: z.array(z.string()),
  kinds: z.array(
    z.object({ lane: z.string(), type: z.string(), records: Count, bytes: Count, unacknowledged: Count }),
  ),
  fields: z.array(z.object({ lane: z.string(), field: z.string(), count: Count, listed: z.boolean() })),
  unlisted: Count,
  removed: Count,
});
type Wire = z.infer<typeof Wire>;

/** What workers send besides records. Journals hold only records, so these fields come from the wire's schemas. */
const UNJOURNALED = {
  "opening a session": OpenSession,
  "asking for work": Claim,
  "renewing leases": Renew,
  "with each report": Fence,
  "a flow's calls": Call,
} as const;

async function configFile(invocation: Invocation, request: WireRequest): Promise<string> {
  const local = async () => localWorker(await invocation.folder(), request.pool ?? "local").configFile;
  const file = request.config === undefined ? await local() : resolve(invocation.cwd, request.config);
  if ((await readIfThere(file)) !== null) return file;
  throw new Failure(`There is no worker configuration at ${file}.`, {
    exit: "configuration",
    code: "no-worker-config",
    next: ["run this on the worker's machine with its configuration: `towpath wire RUN --config FILE`"],
  });
}

/** Runs the worker's program, which reads the journals. It reports faults on stderr. */
async function askWorker(invocation: Invocation, args: readonly string[], stdout: "inherit" | "pipe") {
  const command = programArguments("worker", "wire", ...args);
  const child = spawn(process.execPath, command, {
    stdio: ["ignore", stdout, "inherit"],
    env: invocation.config.environment,
  });
  const [printed, [code]] = await Promise.all([
    child.stdout ? text(child.stdout) : "",
    once(child, "close") as Promise<[number | null]>,
  ]);
  // Exit code 1 means that a field is not listed. Then the counts were printed, too.
  const isAnswer = code === EXIT.ok || (code === EXIT.failed && (stdout === "inherit" || printed !== ""));
  if (!isAnswer) throw new Failure("The worker's journals could not be read.", { exit: "configuration" });
  return { printed, isListed: code === EXIT.ok };
}

function notHere(runId: string): Failure {
  return new Failure(`The journals of this worker have no record of run ${runId}.`, {
    exit: "notFound",
    code: "run-not-journaled",
    next: [
      `\`towpath runs show ${runId}\` names the worker that ran it; run this command there`,
      "journals are kept for 7 days, unless the worker's configuration says otherwise",
    ],
  });
}

/** Finds a run by its whole id or its end, in this worker's journals. */
async function journaledRun(
  invocation: Invocation,
  args: { run: string; config: readonly string[] },
): Promise<string> {
  const typed = typedRun(args.run);
  if ("id" in typed) return typed.id;
  const { printed } = await askWorker(invocation, [...args.config, "--find", typed.part], "pipe");
  const found = z.array(z.string()).parse(JSON.parse(printed));
  const only = onlyRun(
    args.run,
    found.map((id) => ({ id })),
  );
  if (only === null) throw notHere(args.run);
  return only;
}

function totals(kinds: Wire["kinds"]): string[] {
  const sum = (pick: (kind: Wire["kinds"][number]) => number) =>
    String(kinds.reduce((total, kind) => total + pick(kind), 0));
  return [
    "",
    "total",
    sum(({ records }) => records),
    sum(({ bytes }) => bytes),
    sum((kind) => kind.unacknowledged),
  ];
}

function show({ output }: Invocation, wire: Wire): void {
  const { style } = output;
  output.line(`Data sent for run ${style.bold(wire.runId)}, from this worker's journals`);
  output.line();
  const kinds = wire.kinds.map((kind) => [
    kind.lane,
    kind.type,
    String(kind.records),
    String(kind.bytes),
    String(kind.unacknowledged),
  ]);
  output.table(["LANE", "KIND", "RECORDS", "BYTES", "NOT ACKNOWLEDGED"], [...kinds, totals(wire.kinds)]);
  output.line();
  output.table(
    ["LANE", "FIELD", "COUNT", "IN DATA.MD"],
    wire.fields.map((one) => [one.lane, one.field, String(one.count), one.listed ? "yes" : style.red("no")]),
  );
  output.line();
  if (wire.removed > 0)
    output.line(`${wire.removed} acknowledged records were removed to make room and are not counted.`);
  output.line(
    style.dim("Journals hold only records. The worker also sends these fields, which are not counted:"),
  );
  for (const [what, schema] of Object.entries(UNJOURNALED))
    output.line(style.dim(`  ${what}: ${fieldsOf(schema).join(", ")}`));
  if (wire.unlisted > 0) output.note(style.red(`${wire.unlisted} fields are not listed in DATA.md.`));
}

/** `towpath wire RUN`. @returns 1 if a field was sent that DATA.md does not list. */
export async function showWire(invocation: Invocation, request: WireRequest): Promise<number> {
  const config = ["--config", await configFile(invocation, request)];
  const runId = await journaledRun(invocation, { run: request.run, config });
  const args = [...config, "--run", runId];
  const { printed, isListed } = await askWorker(invocation, args, "pipe");
  const wire = Wire.parse(JSON.parse(printed));
  if (wire.claims.length === 0) throw notHere(runId);
  if (request.raw) await askWorker(invocation, [...args, "--raw"], "inherit");
  else {
    invocation.output.data(wire);
    show(invocation, wire);
  }
  return isListed ? EXIT.ok : EXIT.failed;
}
