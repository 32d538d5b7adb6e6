import type { Attack } from "../attack.ts";
import { ANSWER_ATTACKS } from "./answers.ts";
import { ASSIGNMENT_ATTACKS } from "./assignments.ts";
import { ENGINE_ATTACKS } from "./engines.ts";
import { FLOW_ATTACKS } from "./flows.ts";
import { OWN_SETTINGS_ATTACKS } from "./own-settings.ts";
import { PACE_ATTACKS } from "./pace.ts";
import { REF_ATTACKS } from "./refs.ts";
import { SEALED_ATTACKS } from "./sealed.ts";
import { SHAPE_ATTACKS } from "./shapes.ts";
import { SPEC_ATTACKS } from "./specs.ts";
import { STORED_ATTACKS } from "./stored.ts";

/** Every attack, in the order of the report. */
export const ATTACKS: readonly Attack[] = [
  ...SPEC_ATTACKS,
  ...ASSIGNMENT_ATTACKS,
  ...ANSWER_ATTACKS,
  ...SHAPE_ATTACKS,
  ...PACE_ATTACKS,
  ...FLOW_ATTACKS,
  ...REF_ATTACKS,
  ...STORED_ATTACKS,
  ...SEALED_ATTACKS,
  ...OWN_SETTINGS_ATTACKS,
  ...ENGINE_ATTACKS,
];
