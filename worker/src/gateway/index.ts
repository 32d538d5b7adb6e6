export { type CommandBoard, createCommandBoard } from "./commands.ts";
export { cleanLine, type MappedRecord, mapFlowRecord } from "./map-records.ts";
export { type Gateway, type GatewayHost, type GatewayOptions, openGateway } from "./server.ts";
