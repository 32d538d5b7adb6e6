import { BulkRecord, ControlRecord, type Fence, openApi, ROUTES, type Route } from "@towpath/contract";
import { z } from "zod";

type Schema = Readonly<Record<string, unknown>>;

/** Known values for generated requests, so that some requests find what they name. */
export interface Known {
  /** The only values of a property or parameter, by its name. Schemathesis tries others where it breaks a schema on purpose. */
  readonly values: Readonly<Record<string, readonly unknown[]>>;
  /** More values beside the generated ones, by the name of the property. */
  readonly samples: Readonly<Record<string, readonly unknown[]>>;
  /** Attempts that the worker has, or that nobody knows. */
  readonly fences: readonly Fence[];
}

const isSchema = (value: unknown): value is Schema =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** A long poll would wait, which is slow on purpose: generated polls do not wait. */
const NO_WAIT = { const: 0 };

/** The records of a report. The contract leaves their shape open, since the server answers each record separately. */
const RECORDS: Readonly<Record<string, z.ZodType>> = { control: ControlRecord, bulk: BulkRecord };

function property(name: string, schema: unknown, known: Known): unknown {
  const record = RECORDS[name];
  if (record !== undefined && isSchema(schema) && isSchema(schema.items)) {
    const { $schema: _, ...one } = z.toJSONSchema(record, { io: "input", unrepresentable: "any" });
    return { ...schema, items: { anyOf: [narrowed(one, known), schema.items] } };
  }
  if (name === "waitMs") return NO_WAIT;
  const [values, samples] = [known.values[name], known.samples[name]];
  if (values !== undefined && isSchema(schema) && !("properties" in schema)) return { enum: values };
  return samples === undefined ? narrowed(schema, known) : { anyOf: [{ enum: samples }, schema] };
}

/** An attempt's id, epoch and nonce are valid only together. */
function withFences(schema: Schema, properties: Schema, { fences }: Known): Schema {
  if (!["attemptId", "epoch", "nonce"].every((name) => name in properties)) return { ...schema, properties };
  const anyOf = fences.map(({ attemptId, epoch, nonce }) => {
    const own = { attemptId: { const: attemptId }, epoch: { const: epoch }, nonce: { const: nonce } };
    return { ...schema, properties: { ...properties, ...own } };
  });
  return { anyOf };
}

/** A JSON Schema with known values in place of random ids. */
function narrowed(schema: unknown, known: Known): unknown {
  if (Array.isArray(schema)) return schema.map((one) => narrowed(one, known));
  if (!isSchema(schema)) return schema;
  const { properties, ...rest } = schema;
  const inner = Object.fromEntries(
    Object.entries(rest).map(([key, one]) => [key, KEYWORDS.has(key) ? narrowed(one, known) : one]),
  );
  if (!isSchema(properties)) return inner;
  const own = Object.entries(properties).map(([name, one]) => [name, property(name, one, known)]);
  return withFences(inner, Object.fromEntries(own), known);
}

/** Keywords of JSON Schema whose values are schemas. */
const KEYWORDS: ReadonlySet<string> = new Set(["items", "anyOf", "oneOf", "allOf", "additionalProperties"]);

interface Operation {
  readonly parameters: readonly { readonly name: string; readonly schema: unknown }[];
  readonly requestBody?: { readonly content: { readonly "application/json": { readonly schema: unknown } } };
}

/** `testNotifier` waits for the receiver, so it is left out. */
const LEFT_OUT: ReadonlySet<string> = new Set(["testNotifier"]);

/** The routes of a pass, without streams, which do not end. */
export function routesOf(wanted: (route: Route, name: string) => boolean): Record<string, Route> {
  const all = Object.entries<Route>(ROUTES);
  return Object.fromEntries(
    all.filter(([name, route]) => !route.stream && !LEFT_OUT.has(name) && wanted(route, name)),
  );
}

/** The OpenAPI document of some routes, with known values where a request names something. */
export function documentOf(routes: Readonly<Record<string, Route>>, known: Known): Schema {
  const document = openApi(routes, "0.0.0");
  // `openApi` guarantees it: a path holds operations by method.
  const paths = document.paths as Record<string, Record<string, Operation>>;
  const operation = (one: Operation): Operation => ({
    ...one,
    parameters: one.parameters.map((parameter) => ({
      ...parameter,
      schema: property(parameter.name, parameter.schema, known),
    })),
    ...(one.requestBody && {
      requestBody: {
        ...one.requestBody,
        content: {
          "application/json": {
            schema: narrowed(one.requestBody.content["application/json"].schema, known),
          },
        },
      },
    }),
  });
  const narrowedPaths = Object.entries(paths).map(([path, methods]) => [
    path,
    Object.fromEntries(Object.entries(methods).map(([method, one]) => [method, operation(one)])),
  ]);
  return { ...document, paths: Object.fromEntries(narrowedPaths) };
}
