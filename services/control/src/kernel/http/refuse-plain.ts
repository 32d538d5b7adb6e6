import {
  type Fault,
  hasMarks,
  Problem,
  pathText,
  plainValues,
  type Route,
  SEALED_FIELDS,
} from "@towpath/contract";
import type { z } from "zod";

/** The most faults in one answer. */
const FAULTS_MAX = 20;

/** The next step for somebody who sends a plain value. */
const SEAL_IT =
  "give this client the workspace key: set TOWPATH_WORKSPACE_KEY, or `workspaceKeys` of a worker";

/** The faults of the plain values in a part of a request. */
export function plainFaults(schema: z.ZodType, value: unknown, root: readonly string[] = []): Fault[] {
  return plainValues(schema, value)
    .slice(0, FAULTS_MAX)
    .map(({ field, path }) => ({
      path: pathText([...root, ...path]),
      message: `holds ${SEALED_FIELDS[field]} in plain text`,
      suggestion: SEAL_IT,
    }));
}

/** The refusal of plain values in a sealed workspace. It names the fields, never the values. */
export function plainValueProblem(faults: readonly Fault[]): Problem {
  const fields = [...new Set(faults.map(({ path }) => path))].slice(0, 5).join(", ");
  return new Problem("plain-value", `${fields} must be sealed; ${SEAL_IT}.`, { faults });
}

/**
 * Refuses a request with plain values in the marked fields of its route.
 * @throws Problem `plain-value`, which names the fields.
 */
export function refusePlainValues(route: Route, body: unknown): void {
  if (route.body === undefined || !hasMarks(route.body)) return;
  const faults = plainFaults(route.body, body);
  if (faults.length > 0) throw plainValueProblem(faults);
}
