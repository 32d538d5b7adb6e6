export { printRuns, printWire } from "./command.ts";
