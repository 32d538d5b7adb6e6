export { type CommandBoard, createCommandBoard } from "./commands.ts";
export { cleanLine, mapFlowRecord } from "./map-records.ts";
export { type Gateway, type GatewayHost, openGateway } from "./server.ts";
