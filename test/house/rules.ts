import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import ts from "typescript";
import { RUNS_FOLDERS, SLICES } from "../../.dependency-cruiser.mjs";

/** One file of the project as the rules see it. */
export interface SourceFile {
  /** Relative to the root, with forward slashes. */
  path: string;
  text: string;
}

/** A breach of one house rule, at one place. */
export interface Breach {
  rule: string;
  /** `path` or `path:line`. */
  where: string;
}

/** A house rule: judges one file at a time. */
export interface Rule {
  name: string;
  /** Paths the rule has no say about. */
  exempt?: RegExp;
  /** Paths the rule is about. */
  about: RegExp;
  /** The lines (from 1) at which the file breaks the rule; 0 stands for the file as a whole. */
  breaches(file: SourceFile): number[];
}

/** A longer function is reported. */
export const FUNCTION_LINES_LIMIT = 70;

/** A longer source file is reported. */
export const FILE_LINES_LIMIT = 400;

/** A statement that stores the state of a run or of an attempt, in SQL or by drizzle. */
const MOVES_A_RUN = new RegExp(
  [
    "\\bupdate\\s+(run|attempt)\\b((?!\\b(where|from|returning)\\b)[^])*?(\\bstate\\s*=|\\bset\\s+\\$\\{)",
    "\\binsert\\s+into\\s+(run|attempt)\\s*\\(",
    "\\.update\\((run|attempt)\\)\\s*\\.set\\(\\{[^}]*\\bstate\\b",
    "\\.insert\\((run|attempt)\\)",
  ].join("|"),
  "gi",
);

const CODE = /\.(ts|tsx|mjs|js)$/;
const CODE_OR_SCRIPT = /\.(ts|tsx|mjs|js|py|sh)$/;
const TESTS = /(\.(test|bench|fixture)\.[a-z]+$)|^test\//;
const ANYTHING = /./;

/** Every house rule that can be judged file by file. */
export const RULES: readonly Rule[] = [
  {
    name: "the environment is read only in config.ts",
    about: CODE,
    exempt:
      /(^|\/)config\.(ts|mjs)$|^infra\/bootstrap\/|(^|\/)(vite|vitest)\.config\.ts$|\.(test|bench|fixture)\.[a-z]+$|^test\//,
    breaches: (file) => linesOf(file, readsEnvironment),
  },
  {
    name: "the clock is read only in clock.ts",
    about: CODE,
    exempt: new RegExp(`(^|/)clock\\.ts$|^infra/bootstrap/|${TESTS.source}`),
    breaches: (file) => linesOf(file, readsClock),
  },
  {
    name: "no folder or file is named after nothing",
    about: ANYTHING,
    breaches: (file) => (file.path.split("/").some(isEmptyName) ? [0] : []),
  },
  {
    name: "no path of one machine and no registry's host is written down",
    about: ANYTHING,
    breaches: (file) => matchingLines(file, foreignPlaces()),
  },
  {
    name: "the lock file says nothing of where packages came from",
    about: /^package-lock\.json$/,
    breaches: (file) => matchingLines(file, /"resolved": "(https?|git|file):/),
  },
  {
    name: "the first folder of the control plane is a domain word",
    about: /^services\/control\/src\/[^/]+\//,
    breaches: (file) => ([...SLICES, "demo"].includes(file.path.split("/")[3] ?? "") ? [] : [0]),
  },
  {
    name: "every folder of runs is in the order that the arrows follow",
    about: /^services\/control\/src\/runs\/[^/]+\//,
    exempt: TESTS,
    breaches: (file) => (RUNS_FOLDERS.includes(file.path.split("/")[4] ?? "") ? [] : [0]),
  },
  {
    name: "the states of runs and attempts are written only in runs/moves",
    about: /^services\/control\/src\/.*\.ts$/,
    exempt: new RegExp(`^services/control/src/runs/moves/|${TESTS.source}`),
    breaches: ({ text }) =>
      [...text.matchAll(MOVES_A_RUN)].map(({ index }) => text.slice(0, index).split("\n").length),
  },
];

/** Lengths that are reported and not enforced: a long function that reads well is better than two that do not. */
export const REPORTED: readonly Rule[] = [
  {
    name: `functions longer than ${FUNCTION_LINES_LIMIT} lines`,
    about: CODE,
    exempt: TESTS,
    breaches: (file) => linesOf(file, isLongFunction),
  },
  {
    name: `files longer than ${FILE_LINES_LIMIT} lines`,
    about: CODE_OR_SCRIPT,
    breaches: (file) => (file.text.trimEnd().split("\n").length > FILE_LINES_LIMIT ? [0] : []),
  },
];

/** The root of the repository. */
export const ROOT = resolve(import.meta.dirname, "../..");

/** Every file of the project that git tracks or would track. */
export function projectFiles(): SourceFile[] {
  const listed = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    cwd: ROOT,
    encoding: "utf8",
  });
  return [...new Set(listed.split("\0"))]
    .filter((path) => path !== "" && existsSync(join(ROOT, path)))
    .map((path) => ({ path, text: readFileSync(join(ROOT, path), "utf8") }));
}

/** Judges files by rules. */
export function judge(files: readonly SourceFile[], rules: readonly Rule[] = RULES): Breach[] {
  return files.flatMap((file) =>
    rules
      .filter(({ about, exempt }) => about.test(file.path) && exempt?.test(file.path) !== true)
      .flatMap((rule) =>
        rule.breaches(file).map((line) => ({
          rule: rule.name,
          where: line === 0 ? file.path : `${file.path}:${line}`,
        })),
      ),
  );
}

function isEmptyName(segment: string): boolean {
  return /^(utils?|common|helpers?|models|types)(\.[a-z]+)*$/i.test(segment);
}

/** Built from pieces, so that this file does not break its own rule. */
function foreignPlaces(): RegExp {
  const homes = ["work/(main|shared)", "home/[a-z]+/", "Users/[A-Za-z]+/", "tmp/n24"];
  const hosts = [
    "npm" + "js\\.(org|com)",
    "yarn" + "pkg\\.com",
    "pkg" + "\\.dev",
    "jf" + "rog",
    "npm" + "mirror",
    "arti" + "factory",
  ];
  return new RegExp(`(^|[\\s"'\`(=:])/(${homes.join("|")})|${hosts.join("|")}`);
}

function matchingLines(file: SourceFile, pattern: RegExp): number[] {
  return file.text.split("\n").flatMap((line, index) => (pattern.test(line) ? [index + 1] : []));
}

function linesOf(file: SourceFile, breaks: (node: ts.Node, source: ts.SourceFile) => boolean): number[] {
  const source = ts.createSourceFile(file.path, file.text, ts.ScriptTarget.Latest, true);
  const lines: number[] = [];
  const visit = (node: ts.Node): void => {
    if (breaks(node, source)) lines.push(lineOf(source, node.getStart(source)));
    ts.forEachChild(node, visit);
  };
  visit(source);
  return lines;
}

function lineOf(source: ts.SourceFile, position: number): number {
  return source.getLineAndCharacterOfPosition(position).line + 1;
}

/** `process.env`, `process["env"]`, `import { env } from "node:process"`, `const { env } = process`. */
function readsEnvironment(node: ts.Node): boolean {
  if (ts.isPropertyAccessExpression(node))
    return isNamed(node.expression, "process") && node.name.text === "env";
  if (ts.isElementAccessExpression(node)) {
    const key = node.argumentExpression;
    return isNamed(node.expression, "process") && ts.isStringLiteral(key) && key.text === "env";
  }
  if (ts.isImportDeclaration(node)) {
    const from = ts.isStringLiteral(node.moduleSpecifier) ? node.moduleSpecifier.text : "";
    const names = node.importClause?.namedBindings;
    if (!/^(node:)?process$/.test(from) || names === undefined || !ts.isNamedImports(names)) return false;
    return names.elements.some((element) => (element.propertyName ?? element.name).text === "env");
  }
  if (!ts.isVariableDeclaration(node) || !ts.isObjectBindingPattern(node.name)) return false;
  const taken = node.name.elements.map((element) => (element.propertyName ?? element.name).getText());
  return node.initializer !== undefined && isNamed(node.initializer, "process") && taken.includes("env");
}

/** `new Date()` without arguments, `Date()` and `Date.now`. */
function readsClock(node: ts.Node): boolean {
  if (ts.isNewExpression(node))
    return isNamed(node.expression, "Date") && (node.arguments?.length ?? 0) === 0;
  if (ts.isCallExpression(node)) return isNamed(node.expression, "Date");
  if (!ts.isPropertyAccessExpression(node)) return false;
  return isNamed(node.expression, "Date") && node.name.text === "now";
}

function isNamed(node: ts.Node, name: string): boolean {
  return ts.isIdentifier(node) && node.text === name;
}

function isLongFunction(node: ts.Node, source: ts.SourceFile): boolean {
  if (!ts.isFunctionLike(node)) return false;
  const lines = lineOf(source, node.getEnd()) - lineOf(source, node.getStart(source)) + 1;
  return lines > FUNCTION_LINES_LIMIT;
}
