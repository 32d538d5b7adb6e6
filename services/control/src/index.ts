export { Environment } from "./kernel/index.ts";
