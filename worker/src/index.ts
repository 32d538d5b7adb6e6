export { COMPUTE_VARIABLES } from "./compute/index.ts";
export { Settings } from "./settings.ts";
