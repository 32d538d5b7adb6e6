export { type Client, type ClientOptions, createClient } from "./client.ts";
export { ConnectionFailure, StreamInterrupted, UnexpectedAnswer } from "./failure.ts";
export type { CallOptions, InputOf } from "./request.ts";
export { createSealer, type Sealer, type SealingOptions, sealedNotice } from "./sealing/sealer.ts";
export { type SseEvent, type SseParser, SseTooLarge, sseParser } from "./sse.ts";
export type { StreamedEvent, StreamOptions } from "./stream.ts";
