import type { Attack } from "../attack.ts";
import { ASSIGNMENT_ATTACKS } from "./assignments.ts";
import { SPEC_ATTACKS } from "./specs.ts";

/** Every attack, in the order of the report. */
export const ATTACKS: readonly Attack[] = [...SPEC_ATTACKS, ...ASSIGNMENT_ATTACKS];
