import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { ROUTES, type Route } from "@towpath/contract";
import type { z } from "zod";

/** Sets a title, fills the clipboard, clears the screen, moves the cursor, changes colours, turns the text's direction. */
export const PLANTED =
  "a\u001b]0;planted\u0007\u001b]52;c;ZXZpbA==\u001b\\\u001b[2J\u001b[31m\u009b1A\r\u202eplanted";

/** What is tried for a string, the planted one first: a schema may ask for a name, an id, an instant. */
const STRINGS = [
  PLANTED,
  "0193a0b1-7c00-7000-8000-000000000001",
  "2026-01-01T00:00:00.000Z",
  "local",
  "1",
  "a".repeat(64),
  "a".repeat(16),
  "http://127.0.0.1:1/",
  `sha256:${"a".repeat(64)}`,
  "0 0 * * *",
  "UTC",
  "2026-01-01",
  "a/b",
];
const NUMBERS = [1, 0, 60_000, 0.5];

interface Definition {
  readonly type: string;
  readonly shape?: Record<string, z.ZodType>;
  readonly element?: z.ZodType;
  readonly innerType?: z.ZodType;
  readonly options?: readonly z.ZodType[];
  readonly items?: readonly z.ZodType[];
  readonly values?: readonly unknown[];
  readonly entries?: Record<string, unknown>;
  readonly in?: z.ZodType;
  readonly keyType?: z.ZodType;
  readonly valueType?: z.ZodType;
  readonly getter?: () => z.ZodType;
}

/** What a schema is made of: zod keeps it on each under this name. */
function definitionOf(schema: z.ZodType): Definition {
  return schema.def as unknown as Definition;
}

function firstOf(schema: z.ZodType, candidates: readonly unknown[]): unknown {
  return candidates.find((candidate) => schema.safeParse(candidate).success) ?? candidates[0];
}

/** Deeper than any answer that does not contain itself. */
const DEPTH_MAX = 12;

/**
 * A value that a schema accepts, with the planted text wherever one is accepted.
 * @param args.turn Which of several alternatives is taken.
 */
export function plantedValue(schema: z.ZodType, args: { turn: number; depth?: number }): unknown {
  const definition = definitionOf(schema);
  const depth = (args.depth ?? 0) + 1;
  const below = (inner: z.ZodType | undefined) =>
    inner === undefined || depth > DEPTH_MAX ? null : plantedValue(inner, { turn: args.turn, depth });
  const { options = [], items = [], values = [], entries = {} } = definition;
  switch (definition.type) {
    case "string":
      return firstOf(schema, STRINGS);
    case "number":
    case "int":
      return firstOf(schema, NUMBERS);
    case "boolean":
      return args.turn % 2 === 0;
    case "null":
      return null;
    case "literal":
      return values[0];
    case "enum":
      return Object.values(entries)[args.turn % Object.values(entries).length];
    case "object":
      return objectOf(definition.shape ?? {}, below);
    case "array":
      return depth > DEPTH_MAX ? [] : [below(definition.element)];
    case "tuple":
      return items.map(below);
    case "record":
      return { [String(below(definition.keyType))]: below(definition.valueType) };
    case "union":
      return below(options[args.turn % options.length]);
    case "lazy":
      return below(definition.getter?.());
    case "pipe":
      return below(definition.in);
    default:
      return definition.innerType === undefined ? PLANTED : below(definition.innerType);
  }
}

/** There is never a next page. Otherwise a command that reads all pages would not end. */
function objectOf(shape: Record<string, z.ZodType>, below: (inner: z.ZodType) => unknown) {
  const isEnd = (name: string, inner: z.ZodType) => name === "next" && inner.safeParse(null).success;
  const rows = Object.entries(shape).map(([name, inner]) => [name, isEnd(name, inner) ? null : below(inner)]);
  return Object.fromEntries(rows);
}

function routeOf(method: string, path: string): Route | undefined {
  const rows: Route[] = Object.values(ROUTES);
  return rows.find(
    (row) =>
      row.method === method &&
      new RegExp(`^${row.path.replace(/\{\w+\}/g, "[^/]+")}$`).test(path.replace(/\?.*/, "")),
  );
}

/** What the planted server answers: data, with each of several alternatives by the turn, or a problem each time. */
export type Planting = { readonly turn: number } | "problems";

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

function problemAnswer(): Answer {
  const faults = [{ path: PLANTED, message: PLANTED, suggestion: PLANTED }];
  const told = { type: "about:blank", title: PLANTED, status: 400, code: "bad-request", detail: PLANTED };
  const body = JSON.stringify({ ...told, instance: "/", retryable: false, faults });
  return { status: 400, type: "application/problem+json", body };
}

function answerOf(route: Route | undefined, planting: Planting): Answer {
  if (planting === "problems" || route === undefined) return problemAnswer();
  if (route.answer === "none") return { status: 204, type: "text/plain", body: "" };
  if (route.answer === "text") return { status: 200, type: "text/plain", body: PLANTED };
  if (route.stream !== true) {
    const body = JSON.stringify(plantedValue(route.answer, planting));
    return { status: route.status, type: "application/json", body };
  }
  const events = (definitionOf(route.answer).options ?? []).map((one) => plantedValue(one, planting));
  const texts = (events as { event: string; data: unknown }[]).map(
    ({ event, data }) => `id: 1\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`,
  );
  return { status: 200, type: "text/event-stream", body: texts.join("") };
}

/** A control plane all of whose answers hold planted text. */
export async function servePlanted(planting: Planting) {
  let asked = 0;
  const server = createServer(({ method = "", url = "" }, response) => {
    asked += 1;
    const { status, type, body } = answerOf(routeOf(method, url), planting);
    response.writeHead(status, { "content-type": type }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked: () => asked,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
