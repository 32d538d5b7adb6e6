import { InvalidDefinition } from "../problem.ts";

/** What makes two calls of a task the same: equal arguments, the same version of its code, or an equal key made of the arguments. */
export type CacheBy = "input" | "code" | ((...args: never[]) => string);

/** When the result of an earlier call of a task, in whichever run, is taken instead of calling it. */
export interface CacheOptions {
  /** All of these together. @default ["input", "code"] */
  readonly by?: CacheBy | readonly CacheBy[];
  /** How long a result holds, milliseconds. @default for as long as the store has it */
  readonly expiresMs?: number;
  /** Calls the task although there is a result, and keeps the new one. @default false */
  readonly refresh?: boolean;
}

function isBy(one: unknown): boolean {
  return one === "input" || one === "code" || typeof one === "function";
}

/** @throws InvalidDefinition naming the field. */
export function checkCacheOptions(task: string, cache: unknown): void {
  const refuse = (field: string, wanted: string) => {
    throw new InvalidDefinition(`task "${task}": ${field} must be ${wanted}.`);
  };
  if (cache === undefined || typeof cache === "boolean") return;
  if (typeof cache !== "object" || cache === null) refuse("cache", "true or { by, expiresMs, refresh }");
  const {
    by = "input",
    expiresMs = 1,
    refresh = false,
  }: { [Field in keyof CacheOptions]: unknown } = { ...(cache as object) };
  const all = [by].flat();
  if (all.length === 0 || !all.every(isBy))
    refuse("cache.by", '"input", "code" or a function that answers a key, or several');
  if (!(typeof expiresMs === "number" && expiresMs > 0)) refuse("cache.expiresMs", "milliseconds from 1");
  if (typeof refresh !== "boolean") refuse("cache.refresh", "true or false");
}
