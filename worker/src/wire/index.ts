export { printRuns, printWire, type WireCommand, type WireOutput } from "./command.ts";
export { type JournaledRecord, type RunReading, readRun } from "./read-run.ts";
export { type Wire, type WireField, type WireKind, wireOf } from "./tally.ts";
