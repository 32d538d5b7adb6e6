export { CHROMIUM_ARGUMENTS, findChromium } from "./chromium.ts";
export { createEmptyDatabase, createTestDatabase, type TestDatabase } from "./postgres.ts";
