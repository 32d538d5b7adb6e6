import type { ControlRecord } from "@towpath/contract";

interface AttemptSoFar {
  readonly state: string;
  readonly epoch: number;
  readonly control: readonly ControlRecord[];
  readonly bulk: readonly unknown[];
}

/** What attempts have told, in a sentence: for whoever waits for something that they have long told otherwise. */
export function toldBy(attempts: readonly AttemptSoFar[]): string {
  const each = attempts.map(({ state, epoch, control, bulk }) => {
    const records = control.map(sayRecord).join(", ") || "nothing";
    return `${state} by claim ${epoch} with ${bulk.length} of bulk: ${records}`;
  });
  return `the attempts have told: ${each.join("; ") || "there is none"}`;
}

function sayRecord(record: ControlRecord): string {
  const why = record.type === "released" ? record.reason : "error" in record && record.error?.message;
  return why ? `${record.type} (${why})` : record.type;
}
