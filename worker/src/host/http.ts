/**
 * Node's HTTP module. An `import` of it also loads Node's own `fetch`, for a name that it exports: 31 ms of processor time at
 * the start of each process.
 */
export const { Agent, createServer, request } = process.getBuiltinModule("node:http");
