export { type Client, type ClientOptions, createClient } from "./client.ts";
export { ConnectionFailure, StreamInterrupted, UnexpectedAnswer } from "./failure.ts";
export type { CallOptions, InputOf } from "./request.ts";
export { type Sealer, type SealingOptions, sealedNotice } from "./sealing/options.ts";
export { sealerOf } from "./sealing/when-needed.ts";
export { type SseEvent, type SseParser, SseTooLarge, sseParser } from "./sse.ts";
export type { StreamedEvent, StreamOptions } from "./stream.ts";
