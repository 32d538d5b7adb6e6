import { z } from "zod";

/** One position in a schema that holds text. */
export interface TextField {
  /** Dotted. `[]` stands for an item of a list, `{key}` and `{}` for a key and a value of a record. */
  readonly path: string;
  /** A value of the schema with this text at this position, and plain samples elsewhere. */
  put(text: string): unknown;
}

interface Variant {
  readonly sample: unknown;
  readonly fields: readonly TextField[];
}

/** Texts without a secret: any text of the wire accepts one of them. */
const PLAIN = [
  "plain",
  "01900000-0000-7000-8000-000000000001",
  "2026-01-01T00:00:00.000Z",
  "https://host.example/",
  "0".repeat(64),
  "0".repeat(16),
  `e30..${"0".repeat(16)}.0.${"0".repeat(22)}`,
];

/** How deep a recursive schema is followed: JSON within JSON. */
const DEPTH_MAX = 2;

/**
 * Every position of a schema that holds text, including optional fields, each branch of a union, and keys of records.
 * @throws for an unknown kind of schema, so that no new one is missed.
 */
export function textFieldsOf(schema: z.ZodType): TextField[] {
  return variantsOf(schema, 0).flatMap(({ fields }) => fields);
}

function variantsOf(schema: z.core.$ZodType, depth: number): Variant[] {
  const def = schema._zod.def as z.core.$ZodTypes["_zod"]["def"];
  switch (def.type) {
    case "string":
      return [ofText(schema)];
    case "enum":
      return [{ sample: Object.values(def.entries)[0], fields: [] }];
    case "literal":
      return [{ sample: def.values[0], fields: [] }];
    case "number":
      return [{ sample: [1, 20_000].find((one) => z.safeParse(schema, one).success), fields: [] }];
    case "boolean":
      return [{ sample: true, fields: [] }];
    case "null":
      return [{ sample: null, fields: [] }];
    case "object":
      return ofObject(def.shape, depth);
    case "array":
      return variantsOf(def.element, depth).map((variant) => within(variant, "[]", (item) => [item]));
    case "record":
      return [
        ...ofKeys(def.keyType),
        ...variantsOf(def.valueType, depth).map((variant) =>
          within(variant, "{}", (value) => ({ plain: value })),
        ),
      ];
    case "union":
      return def.options.flatMap((option) => variantsOf(option, depth));
    case "lazy":
      return depth < DEPTH_MAX ? variantsOf(def.getter(), depth + 1) : [{ sample: null, fields: [] }];
    case "optional":
    case "nullable":
    case "default":
    case "readonly":
      return variantsOf(def.innerType, depth);
    case "custom":
      return ofCustom(schema, depth);
    case "pipe":
      return variantsOf(def.in, depth);
    default:
      throw new TypeError(`A schema of type "${def.type}" is not known here: say where it holds text.`);
  }
}

function ofText(schema: z.core.$ZodType): Variant {
  const sample = PLAIN.find((text) => z.safeParse(schema, text).success);
  if (sample === undefined) throw new TypeError("No plain text fits this schema: add one.");
  return { sample, fields: [{ path: "", put: (text) => text }] };
}

/** A custom schema. The only one of ours is any JSON value. */
function ofCustom(schema: z.core.$ZodType, depth: number): Variant[] {
  const isJson = [null, "plain", ["plain"], { plain: 1 }].every(
    (value) => z.safeParse(schema, value).success,
  );
  if (isJson) return variantsOf(z.json(), depth);
  throw new TypeError("A schema of our own that is not JSON is not known here: say where it holds text.");
}

function ofKeys(keys: z.core.$ZodType): Variant[] {
  return variantsOf(keys, 0).map((variant) => within(variant, "{key}", (key) => ({ [String(key)]: null })));
}

/** One variant for each variant of any field. The other fields have their first. */
function ofObject(shape: Readonly<Record<string, z.core.$ZodType>>, depth: number): Variant[] {
  const fields = Object.entries(shape).map(([name, schema]) => ({
    name,
    variants: variantsOf(schema, depth),
  }));
  const sample = Object.fromEntries(fields.map(({ name, variants }) => [name, variants[0]?.sample]));
  const all = fields.flatMap(({ name, variants }) =>
    variants.map((variant) => within(variant, name, (value) => ({ ...sample, [name]: value }))),
  );
  return [{ sample, fields: [] }, ...all];
}

function within({ sample, fields }: Variant, step: string, wrap: (inner: unknown) => unknown): Variant {
  return {
    sample: wrap(sample),
    fields: fields.map(({ path, put }) => ({
      path:
        path === ""
          ? step
          : path.startsWith("[") || path.startsWith("{")
            ? `${step}${path}`
            : `${step}.${path}`,
      put: (text) => wrap(put(text)),
    })),
  };
}
