export { type CommandBoard, createCommandBoard } from "./commands.ts";
export { cleanLine, isLarge, mapFlowRecord } from "./map-records.ts";
export { type Gateway, type GatewayHost, openGateway } from "./server.ts";
