import { createReadStream } from "node:fs";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { type Client, UnexpectedAnswer } from "@towpath/client";
import {
  type CreatedRun,
  type CreateRuns,
  derivedId,
  type Json,
  JsonObject,
  KEY_PURPOSES,
  LIMITS,
  mapRefs,
  openKeyring,
  Problem,
  uuidv7,
} from "@towpath/contract";
import { findDeployment } from "../deployments/find.ts";
import { EXIT, Failure } from "../failure.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { printable } from "../output.ts";
import { expireAfterOf, type RunRequest, scheduledAtOf } from "./create.ts";

/** At most this many refusals are shown. */
const SHOWN_MAX = 10;
/** The most bytes of lines in one request. Ids and tags take the rest. */
const LINES_BYTES_MAX = LIMITS.batchBytes / 2;

/** The arguments of `towpath run NAME --from FILE`. */
export interface ManyRequest
  extends Pick<RunRequest, "deployment" | "stage" | "tags" | "priority" | "queue" | "at" | "expireAfter"> {
  /** With the same key, deployment and line, a repetition creates no second run. */
  readonly idempotencyKey: string | undefined;
  /** A file with the parameters of one run on each line, as a JSON object. `-` is standard input. */
  readonly from: string;
}

type Parameters = { [key: string]: Json };

/** The parameters in one line of the file. */
interface Line {
  readonly number: number;
  readonly parameters: Parameters;
  readonly sizeBytes: number;
}

function parametersOf(text: string, where: string): Parameters {
  try {
    const parsed = JsonObject.safeParse(JSON.parse(text));
    if (parsed.success) return parsed.data;
  } catch {
    // Reported below, like any other value that is not an object.
  }
  throw new Failure(`${where} is not a JSON object.`, {
    exit: "invalidInput",
    code: "bad-line",
    next: ['write the parameters of one run on each line, such as {"day":"2026-01-31"}'],
  });
}

/** Reads the lines of a file, without empty ones. @throws Failure that names the faulty line, or the file that cannot be read. */
async function* readLines(invocation: Invocation, from: string): AsyncGenerator<Line> {
  const path = resolve(invocation.cwd, from);
  const input = from === "-" ? process.stdin : createReadStream(path);
  const { promise: broken, reject } = Promise.withResolvers<never>();
  broken.catch(() => {});
  input.once("error", reject);
  let number = 0;
  const lines = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })[Symbol.asyncIterator]();
  while (true) {
    const next = await Promise.race([lines.next(), broken]).catch((cause: unknown) => {
      throw new Failure(`${path} cannot be read.`, { exit: "invalidInput", code: "no-file", cause });
    });
    if (next.done === true) return;
    number += 1;
    if (next.value.trim() === "") continue;
    const parameters = parametersOf(next.value, `Line ${number} of ${from}`);
    yield { number, parameters, sizeBytes: Buffer.byteLength(next.value) };
  }
}

/** Groups lines into batches that fit one request. */
async function* inBatches(lines: AsyncIterable<Line>): AsyncGenerator<Line[]> {
  let batch: Line[] = [];
  let bytes = 0;
  for await (const line of lines) {
    if (batch.length === LIMITS.batchRuns || bytes + line.sizeBytes > LINES_BYTES_MAX) {
      yield batch;
      [batch, bytes] = [[], 0];
    }
    batch.push(line);
    bytes += line.sizeBytes;
  }
  if (batch.length > 0) yield batch;
}

/** The base of ids that derive from a key and a line. Its time has no meaning. */
const DERIVED_NEAR = "01900000-0000-7000-8000-000000000000";

/** An id for each line. With a key, the same key, line and deployment give the same id. */
async function idsOf(
  invocation: Pick<Invocation, "clock">,
  { deployment, idempotencyKey: key }: ManyRequest,
  lines: readonly Line[],
): Promise<string[]> {
  if (key === undefined) return lines.map(() => uuidv7(invocation.clock.nowMs())).sort();
  const textOf = ({ number }: Line) => JSON.stringify([deployment, key, number]);
  return await Promise.all(
    lines.map(async (line) => {
      const id = await derivedId(DERIVED_NEAR, textOf(line));
      return hasRef(line.parameters) ? asChosen(id) : id;
    }),
  );
}

function hasRef(parameters: Parameters): boolean {
  let has = false;
  mapRefs(parameters, (ref) => {
    has = true;
    return ref;
  });
  return has;
}

/** The id as one of version 7. Workers take a run with a derived id for one that a flow started, and want its refs signed. */
function asChosen(id: string): string {
  return `${id.slice(0, 14)}7${id.slice(15)}`;
}

async function bodyOf(
  invocation: Pick<Invocation, "clock">,
  request: ManyRequest,
  lines: readonly Line[],
): Promise<CreateRuns> {
  const { deployment, queue, priority, tags, at, expireAfter } = request;
  const nowMs = invocation.clock.nowMs();
  const ids = await idsOf(invocation, request, lines);
  const shared = {
    tags: [...tags],
    ...scheduledAtOf(at, nowMs),
    ...(priority === undefined ? {} : { priority }),
    ...(expireAfter === undefined ? {} : { expireAfterMs: expireAfterOf(expireAfter) }),
  };
  return {
    deployment,
    ...(queue === undefined ? {} : { queue }),
    runs: lines.map(({ parameters }, index) => ({ id: ids[index] ?? uuidv7(nowMs), parameters, ...shared })),
  };
}

interface Refused {
  readonly line: number;
  readonly problem: NonNullable<CreatedRun["problem"]>;
}

const isTooLarge = (error: unknown) =>
  (error instanceof Problem || error instanceof UnexpectedAnswer) && error.status === 413;

/** Creates a run for each line. Splits the batch if the control plane or a proxy refuses the request as too large. */
export async function createBatch(
  invocation: Pick<Invocation, "clock">,
  args: { client: Client; request: ManyRequest; lines: readonly Line[] },
): Promise<CreatedRun[]> {
  const { client, request, lines } = args;
  try {
    const { items } = await client.createRuns({ body: await bodyOf(invocation, request, lines) });
    return items;
  } catch (error) {
    if (!isTooLarge(error) || lines.length < 2) throw error;
    const half = Math.ceil(lines.length / 2);
    const first = await createBatch(invocation, { ...args, lines: lines.slice(0, half) });
    return [...first, ...(await createBatch(invocation, { ...args, lines: lines.slice(half) }))];
  }
}

async function createAll(
  invocation: Invocation,
  client: Client,
  request: ManyRequest,
): Promise<{ created: string[]; known: string[]; refused: Refused[] }> {
  const created: string[] = [];
  const known: string[] = [];
  const refused: Refused[] = [];
  for await (const lines of inBatches(readLines(invocation, request.from))) {
    const items = await createBatch(invocation, { client, request, lines });
    for (const [index, { id, outcome, problem }] of items.entries()) {
      if (problem === null) (outcome === "known" ? known : created).push(id);
      else refused.push({ line: lines[index]?.number ?? 0, problem });
    }
  }
  return { created, known, refused };
}

/**
 * The key from which ids are derived. The ids leave, and without a workspace key anybody could check a guess of an idempotency key.
 */
async function hiddenKey(invocation: Invocation, key: string | undefined): Promise<string | undefined> {
  const [first, ...others] = (await invocation.connect()).workspaceKeys;
  if (key === undefined || first === undefined) return key;
  const ring = await openKeyring([first, ...others]);
  return await ring.keyCode(KEY_PURPOSES.request(""), key);
}

/**
 * `towpath run NAME --from FILE`: starts a run for each line.
 * @returns The exit code for invalid input if a line was refused. The other lines still create their runs.
 */
export async function runMany(invocation: Invocation, request: ManyRequest): Promise<number> {
  const { output } = invocation;
  const client = await invocation.client();
  const { name: deployment } = await findDeployment(client, request.deployment, request.stage);
  const { created, known, refused } = await createAll(invocation, client, {
    ...request,
    deployment,
    idempotencyKey: await hiddenKey(invocation, request.idempotencyKey),
  });
  output.data({ created, known, refused });
  if (created.length + known.length + refused.length === 0)
    output.note(`${output.style.yellow("!")} ${request.from} has no lines.`);
  if (created.length > 0)
    output.line(`${output.style.green("✓")} created ${created.length} runs of ${deployment}`);
  if (known.length > 0)
    output.line(
      `${output.style.green("✓")} ${known.length} runs existed already, created by an earlier request`,
    );
  for (const { line, problem } of refused.slice(0, SHOWN_MAX))
    output.note(`${output.style.red("✗")} line ${line}: ${printable(problem.detail)}`);
  if (refused.length > SHOWN_MAX) output.note(`  and ${refused.length - SHOWN_MAX} more lines`);
  return refused.length > 0 ? EXIT.invalidInput : EXIT.ok;
}
