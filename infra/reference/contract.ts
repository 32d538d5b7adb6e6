import {
  ATTEMPT_STATES,
  ATTEMPT_TRANSITIONS,
  CAUSES,
  FAILED_KEYS,
  JOB_STATES,
  JOB_TRANSITIONS,
  LAST_CAUSES,
  PERMISSIONS,
  PROBLEMS,
  problemsOf,
  QUOTA_NAMES,
  QUOTAS,
  RATE_CLASSES,
  RATE_LIMITS,
  RATE_WINDOW_SECONDS,
  type RateLimit,
  ROLES,
  ROUTES,
  type Route,
  RUN_STATES,
  RUN_TRANSITIONS,
  TASK_RUN_STATES,
  TASK_RUN_TRANSITIONS,
  type Transition,
} from "@towpath/contract";
import { type Page, table } from "./page.ts";

/** The first lines of every page that is generated from the contract. */
const NOTE = "<!-- Written by `npm run reference` from sdk/contract. Edit the contract, not this page. -->";

/** The state diagram (Mermaid) of one table of moves. */
export function diagram(states: readonly string[], moves: Record<string, Transition<string>>): string {
  const edges = new Map<string, string[]>();
  for (const [name, { from, to }] of Object.entries(moves)) {
    for (const source of from) {
      for (const target of to)
        edges.set(`${source} --> ${target}`, [...(edges.get(`${source} --> ${target}`) ?? []), name]);
    }
  }
  const left = new Set(Object.values(moves).flatMap((move) => move.from));
  const ends = states.filter((state) => !left.has(state)).map((state) => `  ${state} --> [*]`);
  return [
    "```mermaid",
    "stateDiagram-v2",
    ...[...edges].map(([edge, names]) => `  ${edge}: ${names.join(", ")}`),
    ...ends,
    "```",
  ].join("\n");
}

function machine(
  title: string,
  states: readonly string[],
  moves: Record<string, Transition<string>>,
): string {
  const rows = Object.entries(moves).map(([name, { from, to }]) => [
    `\`${name}\``,
    from.join(", "),
    to.join(" or "),
  ]);
  return [`## ${title}`, diagram(states, moves), table(["move", "from", "to"], rows)].join("\n\n");
}

function statesPage(): Page {
  const causes = Object.entries(CAUSES).map(([name, text]) => [`\`${name}\``, text]);
  const text = [
    NOTE,
    "# States and causes",
    "The server's guards, these diagrams and the buttons of the dashboard derive from the same tables. A final state never changes.",
    "No code uses `reassign` yet; it is for launchers whose job outlives the worker. `expire` ends a run that did not start in time, or that reached `runTimeoutMs` without a process. If a process holds the run, its worker stops it, and the transition is `fail`. A parent can be `cancelled` before its children; these are cancelled afterwards. See [what each time limit ends](../decisions/0020-time-limits-and-ends.md).",
    machine("Run", RUN_STATES, RUN_TRANSITIONS),
    machine("Attempt", ATTEMPT_STATES, ATTEMPT_TRANSITIONS),
    machine("Task run", TASK_RUN_STATES, TASK_RUN_TRANSITIONS),
    machine("External job", JOB_STATES, JOB_TRANSITIONS),
    "## Causes",
    `Why a run or an attempt ended as it did. Retry policies name them; a policy with ${LAST_CAUSES.map((name) => `\`${name}\``).join(", ")} is refused, because such a run is over.`,
    table(["cause", "meaning"], causes),
  ];
  return { path: "docs/reference/states.md", text: `${text.join("\n\n")}\n` };
}

function routeSection([name, route]: [string, Route]): string {
  return [
    `### \`${route.method} ${route.path}\``,
    `${route.summary} Operation \`${name}\`, permission \`${route.permission}\`, request limit \`${route.rate}\`.`,
    `Problems: ${problemsOf(route)
      .map((code) => `\`${code}\``)
      .join(", ")}.`,
  ].join("\n\n");
}

/** The rate limits and quotas. */
function limitsParts(): string[] {
  const classes = RATE_CLASSES.map((name) => {
    const { summary, perSecond }: RateLimit = RATE_LIMITS[name];
    const counts = Object.entries(perSecond).map(([subject, count]) => `${count} per ${subject}`);
    return [`\`${name}\``, summary, counts.join(", ")];
  });
  const quotas = QUOTA_NAMES.map((name) => [`\`${name}\``, QUOTAS[name].of, String(QUOTAS[name].most)]);
  const { free, firstPauseMs, longestPauseMs } = FAILED_KEYS;
  return [
    "## Request limits",
    `Each route belongs to one limit. A request beyond the limit gets status 429, \`too-many-requests\` and \`Retry-After\`. The headers \`RateLimit-Policy\` and \`RateLimit\` follow the IETF draft: \`q\` requests in a window of \`w\` seconds, \`r\` left, all of them back in \`t\` seconds. After a quiet time, a caller may send the requests of ${RATE_WINDOW_SECONDS} seconds at once. Each process of the control plane counts separately, so N processes allow N times as much. Refused requests count too. A request counts once for each started MiB of its body. For each workspace, four requests with bodies of more than 1 MiB are served at once, and 64 wait. Workers count separately and by key and workspace, but not by address. [\`TOWPATH_RATE_LIMITS\`](configuration.md) replaces the numbers.`,
    table(["limit", "requests", "requests a second"], classes),
    `After ${free} requests with a wrong key from one address, further wrong keys from it get status 429. The delay starts at ${firstPauseMs / 1000} s and doubles, up to ${longestPauseMs / 60_000} minutes. Recently used keys and workers with a session are still served at once. Other valid keys from the same address wait until they are checked. Behind a proxy, set [\`TOWPATH_TRUSTED_PROXIES\`](configuration.md): only these proxies may state a client's address.`,
    "## Quotas",
    "Quotas limit what a workspace stores. A request beyond a quota fails with `quota-exceeded`, which names the quota and what to do. [`TOWPATH_QUOTAS`](configuration.md) replaces the numbers.",
    table(["quota", "counts", "at most"], quotas),
  ];
}

function apiPage(): Page {
  const bySlice = Map.groupBy(Object.entries(ROUTES) as [string, Route][], ([, route]) => route.slice);
  const roles = Object.entries(ROLES).map(([role, permissions]) => {
    const has: readonly string[] = permissions;
    return [
      `\`${role}\``,
      ...PERMISSIONS.slice(1, 5).map((permission) => (has.includes(permission) ? "yes" : "")),
    ];
  });
  const text = [
    NOTE,
    "# HTTP API",
    "The API uses JSON over HTTPS with `Authorization: Bearer KEY`. For the shapes of bodies and answers, see `GET /openapi.json` of a running control plane (OpenAPI 3.1). A list returns `{ items, next }`; pass `next` as `cursor`. Failures are [problems](problems.md).",
    "## Roles",
    table(["role", ...PERMISSIONS.slice(1, 5)], roles),
    ...limitsParts(),
    ...[...bySlice].flatMap(([slice, routes]) => [`## ${slice}`, ...routes.map(routeSection)]),
  ];
  return { path: "docs/reference/api.md", text: `${text.join("\n\n")}\n` };
}

function problemsPage(): Page {
  const rows = Object.entries(PROBLEMS).map(([code, { status, title, retryable }]) => [
    `\`${code}\``,
    String(status),
    title,
    retryable ? "yes" : "no",
  ]);
  const text = [
    NOTE,
    "# Problems",
    "Every expected failure is `application/problem+json` (RFC 9457) with `code`, `detail` and `retryable`. For a malformed request, `faults` names the fields.",
    table(["code", "status", "title", "the same request may succeed later"], rows),
  ];
  return { path: "docs/reference/problems.md", text: `${text.join("\n\n")}\n` };
}

/** The reference pages that are generated from the contract. */
export function contractPages(): Page[] {
  return [statesPage(), apiPage(), problemsPage()];
}
