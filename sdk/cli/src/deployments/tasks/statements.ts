import { type AnyNode, type Identifier, type Program, parse, type VariableDeclarator } from "acorn";
import { ModuleNames } from "./module-names.ts";

/** A name that a module imports: from which specifier, and what of it (`*` for all of it). */
export interface Imported {
  readonly from: string;
  readonly name: string;
}

/** A task that a module makes, as far as its code says. */
export interface MadeTask {
  readonly name: string;
  /** The version that its author gives it. */
  readonly version: string | null;
}

/** A name where it is used: a binding of the module, or a member of one. */
export interface Binding {
  readonly name: string;
  readonly member: string | null;
}

/** A call or declaration that gives a task a pool, as far as its code says. */
export interface PoolUse {
  /** The task by its name, or by the binding that holds it. */
  readonly task: string | Binding;
  /** The pool by its name, or by the binding that holds that; null where neither is written. */
  readonly pool: string | Binding | null;
  /** Whether the task is made where no module declares it: inside of a function. */
  readonly isInside: boolean;
}

/** A call of the SDK that names a secret or a resource. */
export interface NamedCall {
  readonly fn: "secret" | "resource";
  readonly name: string;
}

/** A statement of a module's top level. */
export interface Statement {
  readonly declares: readonly string[];
  /** Whether it is no declaration: it does something when the module is loaded. */
  readonly acts: boolean;
  readonly text: string;
  readonly uses: ReadonlySet<string>;
  /** Specifiers that it imports by itself, by `import(…)`. */
  readonly loads: readonly string[];
  /** The tasks that it makes. */
  readonly tasks: readonly MadeTask[];
  /** What it gives pools. */
  readonly pools: readonly PoolUse[];
  /** The secrets that it reads, and the resources that it declares. */
  readonly names: readonly NamedCall[];
  /** The text that the variable it declares holds, if it is one. */
  readonly holds: string | null;
}

/** A module's top level. */
export interface Outline {
  readonly statements: readonly Statement[];
  readonly imported: ReadonlyMap<string, Imported>;
  /** What each export is: a local name, or something imported. */
  readonly exported: ReadonlyMap<string, string | Imported>;
  /** Specifiers of which everything is exported. */
  readonly exportsAllOf: readonly string[];
  /** Specifiers that are imported for what they do. */
  readonly runs: readonly string[];
}

/** A module while it is read. */
interface Draft {
  readonly code: string;
  readonly names: ModuleNames;
  readonly statements: Statement[];
  readonly imported: Map<string, Imported>;
  readonly exported: Map<string, string | Imported>;
  readonly exportsAllOf: string[];
  readonly runs: string[];
}

/** The name under which a module has its default export where it gives it none. */
const DEFAULT = "*default*";

function isNode(value: unknown): value is AnyNode {
  return typeof value === "object" && value !== null && "type" in value && typeof value.type === "string";
}

function walk(node: AnyNode, visit: (node: AnyNode) => void): void {
  visit(node);
  for (const part of Object.values(node).flat()) if (isNode(part)) walk(part, visit);
}

function textOf(node: AnyNode): string | null {
  if (node.type === "Literal" && typeof node.value === "string") return node.value;
  if (node.type === "TemplateLiteral" && node.quasis.length === 1)
    return node.quasis[0]?.value.cooked ?? null;
  return null;
}

/** What stands in a field of an object literal: `{ name: … }`. */
function valueIn(node: AnyNode | undefined, name: string): AnyNode | null {
  if (node?.type !== "ObjectExpression") return null;
  for (const field of node.properties) {
    const isIt = field.type === "Property" && field.key.type === "Identifier" && field.key.name === name;
    if (isIt) return field.value;
  }
  return null;
}

/** The text of a field in an object literal: `{ name: "…" }`. */
function fieldIn(node: AnyNode | undefined, name: string): string | null {
  const value = valueIn(node, name);
  return value && textOf(value);
}

/** A name that an expression begins with: `train`, `tasks.train`, `train.with({ … })`. */
interface Root {
  readonly identifier: Identifier;
  readonly binding: Binding;
}

function rootOf(node: AnyNode): Root | null {
  if (node.type === "Identifier") return { identifier: node, binding: { name: node.name, member: null } };
  if (node.type === "CallExpression" && node.callee.type === "MemberExpression")
    return rootOf(node.callee.object);
  if (node.type !== "MemberExpression" || node.property.type !== "Identifier") return null;
  const { object, property } = node;
  if (object.type !== "Identifier") return null;
  return { identifier: object, binding: { name: object.name, member: property.name } };
}

/** The task that an options literal names. */
function taskIn(options: AnyNode | undefined): MadeTask | null {
  const name = fieldIn(options, "name");
  return name === null ? null : { name, version: fieldIn(options, "version") };
}

/** What a call of the SDK makes a task from, and under which name. */
interface Making {
  readonly task: MadeTask | null;
  /** The parts of the call that say what the task does. Its options do not. */
  readonly does: readonly AnyNode[];
}

/** Knows the calls that make tasks: `task({ … }, fn)`, whatever it is imported as, and `other.with({ name: "…" })`. */
function makingOf(node: AnyNode, draft: Draft): Making | null {
  if (node.type !== "CallExpression") return null;
  const { callee } = node;
  const [options, ...rest] = node.arguments;
  if (callee.type === "MemberExpression" && callee.property.type === "Identifier") {
    const { name } = callee.property;
    if (name === "with") return { task: taskIn(options), does: [callee.object] };
    const isOurs = importedBy(callee.object, draft)?.from === "towpath" && name === "task";
    return isOurs ? { task: taskIn(options), does: rest } : null;
  }
  const source = importedBy(callee, draft);
  return source?.from === "towpath" && source.name === "task" ? { task: taskIn(options), does: rest } : null;
}

/** What an expression imports, if it is the name of an import. */
function importedBy(node: AnyNode, { imported, names }: Draft): Imported | undefined {
  return node.type === "Identifier" && !names.isLocal(node) ? imported.get(node.name) : undefined;
}

/** Knows `secret("…")` and `resource({ name: "…" })`, whatever they are imported as. */
function namedCallOf(node: AnyNode, draft: Draft): NamedCall | null {
  if (node.type !== "CallExpression") return null;
  const { callee } = node;
  const [first] = node.arguments;
  const isMember = callee.type === "MemberExpression" && callee.property.type === "Identifier";
  const source = importedBy(isMember ? callee.object : callee, draft);
  if (first === undefined || source?.from !== "towpath") return null;
  const fn = isMember && source.name === "*" ? keyOf(callee.property) : source.name;
  if (fn !== "secret" && fn !== "resource") return null;
  const name = fn === "secret" ? textOf(first) : fieldIn(first, "name");
  return name === null ? null : { fn, name };
}

/** The pool that a call gives a task, if it gives it one. */
function poolUseOf(node: AnyNode, draft: Draft): PoolUse | null {
  const making = makingOf(node, draft);
  if (making === null || node.type !== "CallExpression") return null;
  const [options] = node.arguments;
  const value = valueIn(options, "pool");
  if (value === null) return null;
  const { names } = draft;
  const named = rootOf(value);
  const pool = textOf(value) ?? (named === null || names.isLocal(named.identifier) ? null : named.binding);
  const { callee } = node;
  const isWith =
    callee.type === "MemberExpression" &&
    callee.property.type === "Identifier" &&
    callee.property.name === "with";
  if (!isWith) return making.task && { task: making.task.name, pool, isInside: true };
  const changed = rootOf(callee.object);
  if (changed === null) return null;
  const { identifier, binding } = changed;
  if (!names.isLocal(identifier)) return { task: binding, pool, isInside: false };
  const local = names.localValue(identifier);
  return local && makingOf(local, draft)?.task ? { task: binding, pool, isInside: true } : null;
}

function statementOf(
  draft: Draft,
  {
    declares,
    nodes,
    acts = false,
  }: Pick<Statement, "declares"> & { nodes: readonly AnyNode[]; acts?: boolean },
): Statement {
  const loads: string[] = [];
  const tasks: MadeTask[] = [];
  const pools: PoolUse[] = [];
  const names: NamedCall[] = [];
  for (const node of nodes)
    walk(node, (part) => {
      if (part.type === "ImportExpression") loads.push(textOf(part.source) ?? "");
      const made = makingOf(part, draft)?.task;
      if (made) tasks.push(made);
      const use = poolUseOf(part, draft);
      if (use) pools.push(use);
      const named = namedCallOf(part, draft);
      if (named) names.push(named);
    });
  const text = nodes.map((node) => draft.code.slice(node.start, node.end)).join("\n");
  const uses = draft.names.usedIn(nodes);
  return { declares, acts, text, uses, loads, tasks, pools, names, holds: null };
}

/** A variable that is a task says what its function says: how often it is retried does not change its result. */
function variable(draft: Draft, declarator: VariableDeclarator): Statement {
  const declares = draft.names.declaredIn(declarator);
  const { init } = declarator;
  const making = init ? makingOf(init, draft) : null;
  const holds = init ? textOf(init) : null;
  if (making === null) return { ...statementOf(draft, { declares, nodes: [declarator] }), holds };
  const does = statementOf(draft, { declares, nodes: making.does });
  const use = init ? poolUseOf(init, draft) : null;
  return {
    ...does,
    tasks: [...(making.task === null ? [] : [making.task]), ...does.tasks],
    pools: [...(use === null ? [] : [{ ...use, isInside: false }]), ...does.pools],
  };
}

function statementsOf(draft: Draft, node: AnyNode): Statement[] {
  if (node.type === "VariableDeclaration") return node.declarations.map((one) => variable(draft, one));
  const acts = node.type !== "FunctionDeclaration" && node.type !== "ClassDeclaration";
  return [statementOf(draft, { declares: draft.names.declaredIn(node), nodes: [node], acts })];
}

function keyOf(node: AnyNode): string {
  return node.type === "Identifier" ? node.name : (textOf(node) ?? "");
}

type Body = Program["body"][number];

function readImport(draft: Draft, node: Extract<Body, { type: "ImportDeclaration" }>): void {
  const from = String(node.source.value);
  if (node.specifiers.length === 0) draft.runs.push(from);
  for (const one of node.specifiers) {
    const isAll = one.type === "ImportNamespaceSpecifier";
    const name = one.type === "ImportSpecifier" ? keyOf(one.imported) : isAll ? "*" : "default";
    draft.imported.set(one.local.name, { from, name });
  }
}

function readExport(draft: Draft, node: Extract<Body, { type: "ExportNamedDeclaration" }>) {
  const { exported, statements, names } = draft;
  if (node.declaration) {
    statements.push(...statementsOf(draft, node.declaration));
    for (const name of names.declaredIn(node.declaration)) exported.set(name, name);
  }
  for (const { local, exported: to } of node.specifiers) {
    const from = node.source ? String(node.source.value) : null;
    exported.set(keyOf(to), from === null ? keyOf(local) : { from, name: keyOf(local) });
  }
}

function readStatement(draft: Draft, node: Body): void {
  switch (node.type) {
    case "ImportDeclaration":
      readImport(draft, node);
      break;
    case "ExportNamedDeclaration":
      readExport(draft, node);
      break;
    case "ExportAllDeclaration":
      if (node.exported)
        draft.exported.set(keyOf(node.exported), { from: String(node.source.value), name: "*" });
      else draft.exportsAllOf.push(String(node.source.value));
      break;
    case "ExportDefaultDeclaration": {
      const [name = DEFAULT] = draft.names.declaredIn(node);
      draft.statements.push(statementOf(draft, { declares: [name], nodes: [node.declaration] }));
      draft.exported.set("default", name);
      break;
    }
    default:
      draft.statements.push(...statementsOf(draft, node));
  }
}

/** Reads the top level of a module. @param code JavaScript, an ES module. */
export function outlineOf(code: string): Outline {
  const program = parse(code, {
    ecmaVersion: "latest",
    sourceType: "module",
    allowHashBang: true,
    ranges: true,
  });
  const { body } = program;
  const draft: Draft = {
    code,
    names: new ModuleNames(program),
    statements: [],
    imported: new Map(),
    exported: new Map(),
    exportsAllOf: [],
    runs: [],
  };
  // Imports hold for the whole module, wherever they stand.
  const first = body.filter((node) => node.type === "ImportDeclaration");
  for (const node of first) readImport(draft, node);
  for (const node of body) if (node.type !== "ImportDeclaration") readStatement(draft, node);
  return draft;
}
