import type { StartGate } from "../../pools/index.ts";
import type { AttemptRow, RunRow } from "../table.ts";
import type { ReasonText } from "./why.ts";

/** Why a run is not started yet since the database went back, or null if that is not why. */
export function gateReason(
  gate: StartGate | null,
  args: { run: RunRow; current: AttemptRow | null; now: Date },
): ReasonText | null {
  if (gate === null || (args.run.state === "claimed" && !gate.holderAwaited)) return null;
  const happened = `The control plane's database was restarted or restored at ${gate.since.toISOString()}.`;
  const left = `${Math.max(1, Math.ceil((gate.until.getTime() - args.now.getTime()) / 1_000))} s more`;
  const waits =
    args.run.state === "claimed"
      ? claimedText(args.current?.workerName ?? "?", left)
      : readyText(gate, args.run, left);
  return { kind: "contact", text: `${happened} ${waits}`, until: gate.until };
}

function claimedText(worker: string, left: string): string {
  return `Worker ${worker} had claimed this run. Whether it started is known when the worker has sent its reports (at most ${left}).`;
}

function readyText({ workers, more }: StartGate, { pool }: RunRow, left: string): string {
  if (workers.length === 0)
    return `It does not know which workers were running attempts then, so starts in pool "${pool}" wait ${left}: any worker may still report what it did since.`;
  const names = more > 0 ? [...workers, `${more} more`] : workers;
  const who = names.length === 1 ? `the worker ${names[0]} has` : `the workers ${joined(names)} have`;
  const did = names.length === 1 ? "it did" : "they did";
  return `Starts in pool "${pool}" wait until ${who} reported what ${did} since (at most ${left}).`;
}

function joined(names: readonly string[]): string {
  return `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}
