import { BulkRecord, ControlRecord, plainValues, withReplaced } from "@towpath/contract";
import type { z } from "zod";
import { plainFaults, plainValueProblem } from "../../kernel/index.ts";
import { type LooseRecord, PLAIN_TYPE } from "./records.ts";

/** Stands for a text of a state change that a sealed workspace does not store. */
const NOT_STORED = "(not stored: the worker sent it in plain text, and the workspace is sealed)";

/**
 * The records of a lane as a sealed workspace takes them. A change of state is never lost: only its plain texts are. Lines,
 * artifacts and names with plain values are refused.
 */
function refusedIn<Record extends LooseRecord>(schema: z.ZodType, records: readonly Record[]): Record[] {
  return records.map((record) => {
    const plain = plainValues(schema, record);
    if (plain.length === 0) return record;
    if (record.type === "task" || record.type === "ended") {
      const parts = plain.map(({ path }) => ({
        path,
        value: path.at(-1) === "stack" ? undefined : NOT_STORED,
      }));
      return withReplaced(record, parts);
    }
    return { ...record, type: PLAIN_TYPE, plain: plainValueProblem(plainFaults(schema, record)).detail };
  });
}

/** A report as a sealed workspace takes it. */
export function withoutPlain<
  Attempt extends { readonly control: readonly LooseRecord[]; readonly bulk: readonly LooseRecord[] },
>(attempts: readonly Attempt[]): Attempt[] {
  return attempts.map((one) => ({
    ...one,
    control: refusedIn(ControlRecord, one.control),
    bulk: refusedIn(BulkRecord, one.bulk),
  }));
}
