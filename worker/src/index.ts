export { ATTEMPT_PHASES, FOUND_FACTS, PHASE_MOVES, PHASES, RESTARTS } from "./attempts/phases.ts";
export { COMPUTE_VARIABLES } from "./compute/index.ts";
export { Settings } from "./settings.ts";
