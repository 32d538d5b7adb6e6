import type { Host } from "../engine/host.ts";
import { SecretMissing } from "../problem.ts";

const SECRET = "$secret";

/** A placeholder for a secret in a resource's settings. The value replaces it when the resource is opened. */
export interface FromSecret {
  readonly [SECRET]: string;
}

/** Settings as written: any part may come from a secret. */
export type WithSecrets<Settings> =
  | FromSecret
  | (Settings extends readonly (infer Item)[]
      ? readonly WithSecrets<Item>[]
      : Settings extends object
        ? { readonly [Key in keyof Settings]: WithSecrets<Settings[Key]> }
        : Settings);

/** Settings after the values of secrets were inserted. */
export type SecretsResolved<Settings> = Settings extends FromSecret
  ? string
  : Settings extends readonly unknown[]
    ? { readonly [Index in keyof Settings]: SecretsResolved<Settings[Index]> }
    : Settings extends object
      ? { readonly [Key in keyof Settings]: SecretsResolved<Settings[Key]> }
      : Settings;

/** Settings of a stage: those that are left out stay as in the code, and any part may come from a secret. */
export type Overrides<Settings> =
  | FromSecret
  | (Settings extends readonly (infer Item)[]
      ? readonly WithSecrets<Item>[]
      : Settings extends object
        ? { readonly [Key in keyof Settings]?: Overrides<Settings[Key]> }
        : Settings);

/**
 * Takes a part of a resource's settings from a secret of the run: one that its deployment names, or without a worker
 * the variable `TOWPATH_SECRET_<NAME>`.
 * @example resource({ name: "warehouse", settings: { url: "…", password: fromSecret("db-password") }, open })
 */
export function fromSecret(name: string): FromSecret {
  return { [SECRET]: name };
}

/** Whether a value is a plain object. Readers of TOML make objects without a prototype. */
export function isFields(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** The name of the secret that a placeholder stands for. Null: it is none. */
export function secretNamed(value: Readonly<Record<string, unknown>>): string | null {
  const name = value[SECRET];
  return typeof name === "string" && Object.keys(value).length === 1 ? name : null;
}

/**
 * Settings with the values of their secrets.
 * @throws SecretMissing with the next step.
 */
export function withSecretValues(settings: unknown, secret: Host["secret"]): unknown {
  if (Array.isArray(settings)) return settings.map((item) => withSecretValues(item, secret));
  if (!isFields(settings)) return settings;
  const name = secretNamed(settings);
  if (name === null)
    return Object.fromEntries(
      Object.entries(settings).map(([key, value]) => [key, withSecretValues(value, secret)]),
    );
  const found = secret(name);
  if ("value" in found) return found.value;
  throw new SecretMissing(name, found.next);
}

/** The names of all secrets in settings. */
export function secretsIn(settings: unknown): Set<string> {
  const name = isFields(settings) ? secretNamed(settings) : null;
  if (name !== null) return new Set([name]);
  const parts = Array.isArray(settings) ? settings : isFields(settings) ? Object.values(settings) : [];
  return new Set(parts.flatMap((part) => [...secretsIn(part)]));
}

/** Settings with a stage's settings merged into them, field by field. */
export function overridden(settings: unknown, overrides: unknown): unknown {
  if (overrides === undefined) return settings;
  if (!isFields(settings) || !isFields(overrides) || secretNamed(overrides) !== null) return overrides;
  const merged: Record<string, unknown> = { ...settings };
  for (const [key, value] of Object.entries(overrides)) merged[key] = overridden(settings[key], value);
  return merged;
}
