import { z } from "zod";
import { hasMarks } from "../sealing/marked.ts";
import { ProblemBody } from "./names.ts";
import { PROBLEMS, type ProblemCode } from "./problems.ts";
import { COMMON_PROBLEMS, type Route } from "./routes.ts";

type Document = Record<string, unknown>;

function schemaOf(type: z.ZodType, io: "input" | "output"): Document {
  const { $schema: _, ...schema } = z.toJSONSchema(type, { io, unrepresentable: "any" });
  return schema;
}

function parametersOf(route: Route): Document[] {
  const from = (object: z.ZodObject | undefined, where: "path" | "query") => {
    if (!object) return [];
    const { properties = {}, required = [] } = z.toJSONSchema(object, {
      io: "input",
      unrepresentable: "any",
    });
    return Object.entries(properties).map(([name, schema]) => ({
      name,
      in: where,
      required: where === "path" || required.includes(name),
      schema,
    }));
  };
  return [...from(route.params, "path"), ...from(route.query, "query")];
}

/** The problems that a route may answer: its own, everybody's, and what its permission and inputs imply. */
export function problemsOf(route: Route): ProblemCode[] {
  const implied: ProblemCode[] = [];
  if (route.permission !== "public") implied.push("unauthenticated", "forbidden");
  if (route.body) implied.push("payload-too-large", "unsupported-media-type");
  if (route.body && hasMarks(route.body)) implied.push("plain-value");
  if (route.rate === "write" && route.method === "POST") implied.push("quota-exceeded");
  return [...new Set<ProblemCode>([...route.problems, ...implied, ...COMMON_PROBLEMS])];
}

function successOf({ answer, stream }: Route): Document {
  if (answer === "none") return { description: "Done." };
  if (answer === "text")
    return { description: "A file.", content: { "text/plain": { schema: { type: "string" } } } };
  const media = stream ? "text/event-stream" : "application/json";
  return { description: "The answer.", content: { [media]: { schema: schemaOf(answer, "output") } } };
}

function answersOf(route: Route): Document {
  const success = successOf(route);
  const byStatus = Map.groupBy(problemsOf(route), (code) => PROBLEMS[code].status);
  const failures = [...byStatus].map(([status, codes]) => [
    String(status),
    {
      description: codes.map((code) => `\`${code}\`: ${PROBLEMS[code].title}.`).join(" "),
      content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } },
    },
  ]);
  return { [String(route.status)]: success, ...Object.fromEntries(failures) };
}

function operation(name: string, route: Route): Document {
  return {
    operationId: name,
    summary: route.summary,
    tags: [route.slice],
    "x-permission": route.permission,
    "x-rate-limit": route.rate,
    parameters: parametersOf(route),
    ...(route.body
      ? {
          requestBody: {
            required: true,
            content: { "application/json": { schema: schemaOf(route.body, "input") } },
          },
        }
      : {}),
    responses: answersOf(route),
    security: route.permission === "public" ? [] : [{ bearer: [] }],
  };
}

/**
 * The OpenAPI 3.1 document of a table of routes.
 * @see https://spec.openapis.org/oas/v3.1.1
 */
export function openApi(routes: Record<string, Route>, version: string): Document {
  const paths: Record<string, Document> = {};
  for (const [name, route] of Object.entries(routes)) {
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: operation(name, route) };
  }
  return {
    openapi: "3.1.1",
    info: {
      title: "Towpath control plane",
      version,
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    paths,
    components: {
      schemas: { Problem: schemaOf(ProblemBody, "output") },
      securitySchemes: { bearer: { type: "http", scheme: "bearer" } },
    },
  };
}
