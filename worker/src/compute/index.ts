export { DoesNotFit, freeOf, type Stock, stockOf, type Taken, take } from "./amounts.ts";
export { COMPUTE_VARIABLES, ComputeShape, overridden } from "./declared.ts";
export { detect, type Machine, thisMachine } from "./detect.ts";
