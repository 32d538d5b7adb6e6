export { createEmptyDatabase, createTestDatabase, type TestDatabase } from "./postgres.ts";
