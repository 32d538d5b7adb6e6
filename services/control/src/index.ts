export { type Clock, type Config, Environment, manualClock, parseConfig } from "./kernel/index.ts";
export { type RunningServer, type ServerOptions, startServer } from "./server.ts";
