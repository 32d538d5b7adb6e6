/** The words that need no schema library: small enough for a flow process that must start in milliseconds. */
export * from "./compute/amounts.ts";
export * from "./deployments/typed-parameters.ts";
export * from "./flow/gateway.ts";
export * from "./kernel/backoff.ts";
export * from "./kernel/causes.ts";
export * from "./kernel/deployment-name.ts";
export * from "./kernel/duration.ts";
export * from "./kernel/exit-codes.ts";
export * from "./kernel/ids.ts";
export * from "./kernel/limits.ts";
export * from "./kernel/problems.ts";
export * from "./kernel/redactable.ts";
export * from "./kernel/rounded-size.ts";
export * from "./kernel/secret-variable.ts";
export * from "./kernel/suggest.ts";
export * from "./runs/refs.ts";
export * from "./runs/states.ts";
