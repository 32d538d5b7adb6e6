import type { z } from "zod";
import type { RegistryShape } from "./settings.ts";

/** The fields of a registry that are secrets. */
const FIELDS = [
  "password",
  "token",
  "accessKeyId",
  "secretAccessKey",
  "sessionToken",
  "key",
  "knownHosts",
] as const;
type SecretField = (typeof FIELDS)[number];

/** A registry whose secrets are of another type, such as their values. */
export type RegistryWith<Secret, Registry = z.output<typeof RegistryShape>> = Registry extends unknown
  ? {
      readonly [Field in keyof Registry]: Field extends SecretField
        ? Secret | Extract<Registry[Field], undefined>
        : Registry[Field];
    }
  : never;

/** The secrets that a registry has, by field. */
export function secretsOf<Secret>(registry: RegistryWith<Secret>): [SecretField, Secret][] {
  return FIELDS.flatMap((field): [SecretField, Secret][] => {
    // Not every kind has every field.
    const secret: Secret | undefined = Reflect.get(registry, field);
    return secret === undefined ? [] : [[field, secret]];
  });
}

/** Replaces each secret of a registry. */
export function mapSecrets<In, Out>(
  registry: RegistryWith<In>,
  map: (secret: In, field: string) => Out,
): RegistryWith<Out> {
  const replaced = secretsOf<In>(registry).map(([field, secret]) => [field, map(secret, field)]);
  // The cast is safe: only these fields differ between the two types, and each was replaced.
  return { ...registry, ...Object.fromEntries(replaced) } as RegistryWith<Out>;
}

/** Reads each secret of a registry. @throws what reading throws. */
export async function readSecretsOf<In, Kind extends RegistryWith<In>["kind"] = RegistryWith<In>["kind"]>(
  registry: Extract<RegistryWith<In>, { kind: Kind }>,
  read: (secret: In, field: string) => Promise<string>,
): Promise<Extract<RegistryWith<string>, { kind: Kind }>> {
  const values = new Map<string, string>();
  for (const [field, secret] of secretsOf<In>(registry)) values.set(field, await read(secret, field));
  const mapped = mapSecrets<In, string>(registry, (_, field) => values.get(field) ?? "");
  // The cast is safe: only secrets were replaced, so the kind is the same.
  return mapped as Extract<RegistryWith<string>, { kind: Kind }>;
}
