import { once } from "node:events";
import { type StatePaths, statePaths } from "../attempts/index.ts";
import { readRun, runsEndingWith } from "./read-run.ts";
import { wireOf } from "./tally.ts";

/** The arguments of the subcommand. */
export interface WireCommand {
  readonly stateDir: string;
  readonly runId: string;
  /** Prints every record as it was sent, one on each line, instead of the counts. */
  readonly raw: boolean;
}

/** `main.ts wire --find`: prints a JSON list of the runs in the journals whose ids end with this text. */
export async function printRuns(output: WireOutput, args: { stateDir: string; end: string }): Promise<void> {
  const found = await runsEndingWith(statePaths(args.stateDir).journals, args.end);
  await write(output, `${JSON.stringify(found)}\n`);
}

/** Where it prints. */
export type WireOutput = NodeJS.WritableStream;

/**
 * `main.ts wire`: prints what was sent for a run, as JSON.
 * @returns Whether DATA.md names every field.
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
