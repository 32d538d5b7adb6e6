export { openFloors } from "./floors.ts";
export { Refusal, type RefusalCode } from "./refusal.ts";
export { importTrustedKeys, type Trust, verifyAssignment, verifyVersion } from "./verify.ts";
export { checkSessionWorkspace, WrongWorkspace } from "./workspace.ts";
