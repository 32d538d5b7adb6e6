import { readFileSync } from "node:fs";
import { join } from "node:path";

/** Which rooms each room may import. `test` may import any of them; nobody imports `infra` or `test`. */
const ROOMS = {
  contract: { folder: "sdk/contract", imports: [] },
  client: { folder: "sdk/client", imports: ["contract"] },
  flow: { folder: "sdk/flow", imports: ["contract", "client"] },
  cli: { folder: "sdk/cli", imports: ["flow", "client", "contract"] },
  examples: { folder: "sdk/examples", imports: ["flow"] },
  control: { folder: "services/control", imports: ["contract"] },
  dashboard: { folder: "services/dashboard", imports: ["client", "contract"] },
  worker: { folder: "worker", imports: ["contract", "client"] },
};

/** The control plane's slices, its first folders; each may import only those before it. */
export const SLICES = [
  "kernel",
  "identity",
  "pools",
  "deployments",
  "limits",
  "runs",
  "schedules",
  "logs",
  "worker",
  "notify",
  "assets",
  "automations",
];

/** The folders of the slice `runs`; each may import only those before it. The files beside them assemble the slice and come last. */
export const RUNS_FOLDERS = [
  "moves",
  "history",
  "tasks",
  "dependents",
  "admit",
  "compute",
  "end",
  "lease",
  "create",
  "reports",
  "waits",
  "jobs",
  "calls",
  "why",
  "read",
  "requests",
  "rerun",
  "remove",
];

/** Files of `runs` that every folder may import. */
const RUNS_FIRST = ["table.ts", "needs.ts"];

const OURS = "^(sdk/[^/]+|services/[^/]+|worker|test|infra)/";
const TEST_FILE = "\\.(test|bench)\\.[a-z]+$";
const SLICE_ROOT = "^services/control/src";

const literally = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

/** The files that a room's package.json exports: its only doors. */
function doorsOf(folder) {
  const { exports } = JSON.parse(readFileSync(join(import.meta.dirname, folder, "package.json"), "utf8"));
  return Object.values(exports ?? {}).map((path) => join(folder, path));
}

const roomRules = Object.entries(ROOMS).flatMap(([name, { folder, imports }]) => {
  const allowed = [folder, ...imports.map((room) => ROOMS[room].folder)].map(
    (path) => `^${literally(path)}/`,
  );
  const comment = `${folder} may import ${imports.join(", ") || "no other room"}`;
  const inRoom = `^${literally(folder)}/`;
  return [
    {
      name: `room-${name}`,
      comment,
      severity: "error",
      from: { path: inRoom, pathNot: TEST_FILE },
      to: { path: OURS, pathNot: allowed },
    },
    {
      name: `room-${name}-tests`,
      comment: `${comment}, and its tests the harness`,
      severity: "error",
      from: { path: `${inRoom}.*${TEST_FILE}` },
      to: { path: OURS, pathNot: [...allowed, "^test/harness/"] },
    },
    {
      name: `door-${name}`,
      comment: `other rooms see of ${folder} only what its package.json exports`,
      severity: "error",
      from: { path: OURS, pathNot: [inRoom, "^test/"] },
      to: { path: inRoom, pathNot: doorsOf(folder).map((path) => `^${literally(path)}$`) },
    },
  ];
});

const sliceRules = SLICES.map((slice, index) => ({
  name: `slice-${slice}`,
  comment: `${slice} may import only ${SLICES.slice(0, index).join(", ") || "no other slice"}`,
  severity: "error",
  from: { path: `${SLICE_ROOT}/${slice}/` },
  to: { path: `${SLICE_ROOT}/(${SLICES.slice(index + 1).join("|") || "(?!)"})/` },
})).slice(0, -1);

const RUNS = `${SLICE_ROOT}/runs`;
const RUNS_LAST = `(?!(${RUNS_FIRST.map(literally).join("|")})$)[^/]+$`;

const runsRules = RUNS_FOLDERS.map((folder, index) => ({
  name: `runs-${folder}`,
  comment: `runs/${folder} may import only ${[...RUNS_FIRST, ...RUNS_FOLDERS.slice(0, index)].join(", ")}`,
  severity: "error",
  from: { path: `${RUNS}/${folder}/`, pathNot: [TEST_FILE, "\\.fixture\\.ts$"] },
  to: { path: `${RUNS}/((${RUNS_FOLDERS.slice(index + 1).join("|") || "(?!)"})/|${RUNS_LAST})` },
}));

const isolationRules = [
  {
    name: "runs-first",
    comment: `${RUNS_FIRST.join(" and ")} of runs import nothing of runs`,
    severity: "error",
    from: { path: `${RUNS}/(${RUNS_FIRST.map(literally).join("|")})$` },
    to: { path: `${RUNS}/` },
  },
  {
    name: "slice-door",
    comment: "a slice is entered through its index.ts (verbs) or table.ts (joins, foreign keys)",
    severity: "error",
    from: { path: "^services/control/src/([^/]+)/" },
    to: {
      path: `${SLICE_ROOT}/(${SLICES.join("|")})/`,
      pathNot: [`${SLICE_ROOT}/$1/`, `${SLICE_ROOT}/[^/]+/(index|table)\\.ts$`],
    },
  },
  {
    name: "slice-door-from-the-process",
    comment: "what assembles the process enters a slice through its index.ts too",
    severity: "error",
    from: { path: `${SLICE_ROOT}/[^/]+$` },
    to: { path: `${SLICE_ROOT}/(${SLICES.join("|")})/`, pathNot: `${SLICE_ROOT}/[^/]+/(index|table)\\.ts$` },
  },
  {
    name: "nobody-imports-demo",
    comment: "the demo is a program of its own beside the slices; it may use all of them",
    severity: "error",
    from: { path: SLICE_ROOT, pathNot: `${SLICE_ROOT}/demo/` },
    to: { path: `${SLICE_ROOT}/demo/` },
  },
  {
    name: "nobody-imports-infra",
    comment: "infra holds images, units and the bootstrap; no code depends on it",
    severity: "error",
    from: { pathNot: "^infra/" },
    to: { path: "^infra/" },
  },
  {
    name: "bootstrap-is-built-ins",
    comment: "the bootstrap runs before anything is installed",
    severity: "error",
    from: { path: "^infra/bootstrap/", pathNot: TEST_FILE },
    to: { pathNot: "^infra/bootstrap/", dependencyTypesNot: ["core"] },
  },
  {
    name: "declared-packages",
    comment: "a package that is used is named in the package.json of the room that uses it",
    severity: "error",
    from: { pathNot: [TEST_FILE, "^(test|infra)/", "\\.config\\.[a-z]+$", "\\.fixture\\.ts$"] },
    to: { dependencyTypes: ["npm-no-pkg", "npm-unknown"] },
  },
  {
    name: "no-cycle",
    comment: "no cycles, type-only ones included",
    severity: "error",
    from: {},
    to: { circular: true },
  },
  {
    name: "resolvable",
    comment: "an import that cannot be resolved is an arrow that nobody checks",
    severity: "error",
    from: {},
    to: { couldNotResolve: true },
  },
];

/** @type {import("dependency-cruiser").IConfiguration} */
export default {
  forbidden: [...roomRules, ...sliceRules, ...runsRules, ...isolationRules],
  options: {
    // Installed code is not ours to judge; links between workspaces lead to real paths and are followed.
    doNotFollow: { path: "(^|/)node_modules/" },
    exclude: { path: "^(sdk/[^/]+|services/[^/]+|worker|test|infra)/(dist|\\.towpath|\\.cache|\\.turbo)/" },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["node", "import", "types", "default"],
      extensions: [".ts", ".tsx", ".mjs", ".js", ".json"],
    },
  },
};
