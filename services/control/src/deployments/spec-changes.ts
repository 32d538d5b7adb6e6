import { type Json, JsonObject, type Spec, type SpecChange, specChangesMax } from "@towpath/contract";

/** Fields that differ between any two versions and do not affect runs. */
const IGNORED: readonly (keyof Spec)[] = ["version", "issuedAt", "reach"];

/** The field whose values may be private, though they are not secrets. */
const ENV = "env" satisfies keyof Spec;

function isObject(value: Json | undefined): value is { [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether two values are equal. The order of keys does not matter. */
function isSame(one: Json | undefined, other: Json | undefined): boolean {
  if (isObject(one) && isObject(other)) {
    const keys = Object.keys({ ...one, ...other });
    return keys.every((key) => isSame(one[key], other[key]));
  }
  if (Array.isArray(one) && Array.isArray(other))
    return one.length === other.length && one.every((item, index) => isSame(item, other[index]));
  return one === other;
}

function change(field: string, args: { before: Json | undefined; after: Json | undefined }): SpecChange {
  const withheld = field.startsWith(`${ENV}.`);
  const told = (value: Json | undefined) => (withheld && value !== undefined ? null : value);
  const [before, after] = [told(args.before), told(args.after)];
  return {
    field,
    withheld,
    ...(before !== undefined && { before }),
    ...(after !== undefined && { after }),
  };
}

/** Compares two objects field by field, and any other values whole. */
function compare(path: string, args: { before: Json | undefined; after: Json | undefined }): SpecChange[] {
  const { before, after } = args;
  if (isSame(before, after)) return [];
  const inside = path === ENV || (isObject(before) && isObject(after));
  if (!inside) return [change(path, args)];
  const [old, now] = [isObject(before) ? before : {}, isObject(after) ? after : {}];
  const keys = [...new Set([...Object.keys(now), ...Object.keys(old)])];
  return keys.flatMap((key) =>
    compare(path === "" ? key : `${path}.${key}`, {
      before: Object.hasOwn(old, key) ? old[key] : undefined,
      after: Object.hasOwn(now, key) ? now[key] : undefined,
    }),
  );
}

/** The fields in which two specs differ, in the order of the later one. Values of environment variables are left out. */
export function specChanges(before: Spec, after: Spec): SpecChange[] {
  const told = (spec: Spec) =>
    Object.fromEntries(
      Object.entries(JsonObject.parse(spec)).filter(([key]) => !IGNORED.some((one) => one === key)),
    );
  return compare("", { before: told(before), after: told(after) }).slice(0, specChangesMax);
}

/** A spec for readers: of its environment it shows only the names. */
export function withoutValues(spec: Spec): { [key: string]: Json } {
  const names = Object.keys(spec.env ?? {});
  return { ...JsonObject.parse(spec), env: Object.fromEntries(names.map((name) => [name, null])) };
}
