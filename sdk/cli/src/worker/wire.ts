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

/** What `towpath wire RUN` is asked for. */
export interface WireRequest {
  readonly run: string;
  readonly pool: string | undefined;
  readonly config: string | undefined;
  readonly raw: boolean;
}

const Count = z.int().min(0);

/** What the worker's program answers. */
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

/** What workers send beside records. Journals hold records alone, so these are told from the wire's schemas. */
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
  throw new Failure(`There is no worker's configuration at ${file}.`, {
    exit: "configuration",
    code: "no-worker-config",
    next: ["run this on the worker's machine, with its configuration: `towpath wire RUN --config FILE`"],
  });
}

/** Asks the worker's program, which alone reads journals. It says what is wrong on stderr. */
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
  // It ends with 1 for a field that is not listed, and then it has printed its count as well.
  const isAnswer = code === EXIT.ok || (code === EXIT.failed && (stdout === "inherit" || printed !== ""));
  if (!isAnswer) throw new Failure("The worker's journals could not be read.", { exit: "configuration" });
  return { printed, isListed: code === EXIT.ok };
}

function notHere(runId: string): Failure {
  return new Failure(`The journals of this worker hold nothing of run ${runId}.`, {
    exit: "notFound",
    code: "run-not-journaled",
    next: [
      `\`towpath runs show ${runId}\` names the worker that ran it; ask there`,
      "journals are kept for 7 days, unless the worker's configuration says otherwise",
    ],
  });
}

/** The id of a run, from all of it or its end: this worker's journals say whose it is. */
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
  output.line(`What left for run ${style.bold(wire.runId)}, from the journals of this worker`);
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
    output.line(`${wire.removed} acknowledged records made room for later ones and are not counted.`);
  output.line(style.dim("Journals hold records. Sent beside them, and not counted:"));
  for (const [what, schema] of Object.entries(UNJOURNALED))
    output.line(style.dim(`  ${what}: ${fieldsOf(schema).join(", ")}`));
  if (wire.unlisted > 0) output.note(style.red(`${wire.unlisted} fields are not listed in DATA.md.`));
}

/** `towpath wire RUN`: what left for a run. @returns 1 when a field left that DATA.md does not list. */
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
