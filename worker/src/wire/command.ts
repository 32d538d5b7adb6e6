import { once } from "node:events";
import { type StatePaths, statePaths } from "../attempts/index.ts";
import { readRun, runsEndingWith } from "./read-run.ts";
import { wireOf } from "./tally.ts";

/** What the subcommand is asked for. */
export interface WireCommand {
  readonly stateDir: string;
  readonly runId: string;
  /** Every record as it was sent, a line each, instead of the count. */
  readonly raw: boolean;
}

/**
 * `main.ts wire --find`: prints a JSON list of the runs in the journals whose ids end with this text.
 */
export async function printRuns(output: WireOutput, args: { stateDir: string; end: string }): Promise<void> {
  const found = await runsEndingWith(statePaths(args.stateDir).journals, args.end);
  await write(output, `${JSON.stringify(found)}\n`);
}

/** Where it prints. */
export type WireOutput = NodeJS.WritableStream;

/**
 * `main.ts wire`: prints what left for a run, as JSON.
 * @returns Whether every field is one that DATA.md names.
 */
export async function printWire(output: WireOutput, command: WireCommand): Promise<boolean> {
  const paths: Pick<StatePaths, "journals"> = statePaths(command.stateDir);
  const counted = await wireOf(command.runId, await readRun(paths.journals, command.runId));
  if (!command.raw) await write(output, `${JSON.stringify(counted)}\n`);
  else {
    const { records } = await readRun(paths.journals, command.runId);
    for await (const { text } of records) await write(output, `${text}\n`);
  }
  return counted.unlisted === 0;
}

async function write(output: WireOutput, text: string): Promise<void> {
  if (!output.write(text)) await once(output, "drain");
}
