export { type Floors, openFloors } from "./floors.ts";
export { REFUSALS, Refusal, type RefusalCode } from "./refusal.ts";
export { importTrustedKeys, type Trust, verifyAssignment, verifyVersion } from "./verify.ts";
