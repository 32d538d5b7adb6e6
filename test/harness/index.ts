export { type BatchCluster, startBatchCluster } from "./batch-cluster.ts";
export { makeCertificates } from "./certificates.ts";
export { CHROMIUM_ARGUMENTS, findChromium } from "./chromium.ts";
export { startConnectProxy } from "./connect-proxy.ts";
export { type Dev, startDev } from "./dev.ts";
export { createEmptyDatabase, createTestDatabase, type TestDatabase } from "./postgres.ts";
export { startProcess, type TestProcess } from "./process.ts";
export { type Beside, type CliResult, type Stack, type StackOptions, startStack } from "./stack.ts";
export { findVersitygw, type S3Server, startS3 } from "./versitygw.ts";
