import { type AnyNode, type Program, parse } from "acorn";

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

/** A piece of a module's top level: what it declares, what it says, and the names it uses. */
export interface Statement {
  readonly declares: readonly string[];
  readonly text: string;
  readonly uses: ReadonlySet<string>;
  /** Specifiers that it imports by itself, by `import(…)`. */
  readonly loads: readonly string[];
  /** The tasks that it makes. */
  readonly tasks: readonly MadeTask[];
  /** What it gives pools. */
  readonly pools: readonly PoolUse[];
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

interface Draft {
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

/** The nodes directly inside of one, without names that stand for no binding: fields and keys. */
function inside(node: AnyNode): AnyNode[] {
  return Object.entries(node).flatMap(([field, value]): AnyNode[] => {
    const isName = (field === "property" || field === "key") && "computed" in node && !node.computed;
    // A shorthand `{ a }` has its binding in its value.
    if (isName) return [];
    return (Array.isArray(value) ? value : [value]).filter(isNode);
  });
}

function walk(node: AnyNode, visit: (node: AnyNode) => void): void {
  visit(node);
  for (const part of inside(node)) walk(part, visit);
}

/** The names that a pattern binds. */
function bound(pattern: AnyNode): string[] {
  const names: string[] = [];
  walk(pattern, (node) => {
    if (node.type === "Identifier") names.push(node.name);
  });
  return names;
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

/** The binding that an expression names, or is a change of: `train`, `tasks.train`, `train.with({ … })`. */
function bindingOf(node: AnyNode): Binding | null {
  if (node.type === "Identifier") return { name: node.name, member: null };
  if (node.type === "CallExpression" && node.callee.type === "MemberExpression")
    return bindingOf(node.callee.object);
  if (node.type !== "MemberExpression" || node.property.type !== "Identifier") return null;
  const { name } = node.property;
  return node.object.type === "Identifier" ? { name: node.object.name, member: name } : null;
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
function makingOf(node: AnyNode, imported: ReadonlyMap<string, Imported>): Making | null {
  if (node.type !== "CallExpression") return null;
  const { callee } = node;
  const [options, ...rest] = node.arguments;
  if (callee.type === "MemberExpression" && callee.property.type === "Identifier") {
    const { name } = callee.property;
    if (name === "with") return { task: taskIn(options), does: [callee.object] };
    const from = callee.object.type === "Identifier" ? imported.get(callee.object.name)?.from : undefined;
    return from === "towpath" && name === "task" ? { task: taskIn(options), does: rest } : null;
  }
  const source = callee.type === "Identifier" ? imported.get(callee.name) : undefined;
  return source?.from === "towpath" && source.name === "task" ? { task: taskIn(options), does: rest } : null;
}

/** The pool that a call gives a task, if it gives it one. */
function poolUseOf(node: AnyNode, imported: ReadonlyMap<string, Imported>): PoolUse | null {
  const making = makingOf(node, imported);
  if (making === null || node.type !== "CallExpression") return null;
  const [options] = node.arguments;
  const value = valueIn(options, "pool");
  if (value === null) return null;
  const { callee } = node;
  const isWith =
    callee.type === "MemberExpression" &&
    callee.property.type === "Identifier" &&
    callee.property.name === "with";
  const task = isWith ? bindingOf(callee.object) : (making.task?.name ?? null);
  return task === null ? null : { task, pool: textOf(value) ?? bindingOf(value), isInside: false };
}

/** The names of variables inside of a statement that hold tasks made there. */
function madeInside(nodes: readonly AnyNode[], imported: ReadonlyMap<string, Imported>): ReadonlySet<string> {
  const names = new Set<string>();
  for (const node of nodes)
    walk(node, (part) => {
      const isTask = part.type === "VariableDeclarator" && part.init && makingOf(part.init, imported)?.task;
      if (isTask) for (const name of bound(part.id)) names.add(name);
    });
  return names;
}

/** What the nodes of a statement give pools. A task that they make themselves is declared by no module. */
function poolUsesIn(nodes: readonly AnyNode[], imported: ReadonlyMap<string, Imported>): PoolUse[] {
  const uses: PoolUse[] = [];
  const own = madeInside(nodes, imported);
  for (const node of nodes)
    walk(node, (part) => {
      const use = poolUseOf(part, imported);
      if (use === null) return;
      uses.push({ ...use, isInside: typeof use.task === "string" || own.has(use.task.name) });
    });
  return uses;
}

function statementOf(
  args: { code: string; draft: Draft },
  { declares, nodes }: { declares: readonly string[]; nodes: readonly AnyNode[] },
): Statement {
  const uses = new Set<string>();
  const loads: string[] = [];
  const tasks: MadeTask[] = [];
  for (const node of nodes)
    walk(node, (part) => {
      if (part.type === "Identifier") uses.add(part.name);
      if (part.type === "ImportExpression") loads.push(textOf(part.source) ?? "");
      const made = makingOf(part, args.draft.imported)?.task;
      if (made) tasks.push(made);
    });
  const text = nodes.map((node) => args.code.slice(node.start, node.end)).join("\n");
  return { declares, text, uses, loads, tasks, pools: poolUsesIn(nodes, args.draft.imported), holds: null };
}

/** A variable that is a task says what its function says: how often it is retried does not change its result. */
function variable(args: { code: string; draft: Draft }, declarator: AnyNode): Statement {
  if (declarator.type !== "VariableDeclarator")
    return statementOf(args, { declares: [], nodes: [declarator] });
  const declares = bound(declarator.id);
  const making = declarator.init ? makingOf(declarator.init, args.draft.imported) : null;
  const holds = declarator.init ? textOf(declarator.init) : null;
  if (making === null) return { ...statementOf(args, { declares, nodes: [declarator] }), holds };
  const does = statementOf(args, { declares, nodes: making.does });
  const use = declarator.init ? poolUseOf(declarator.init, args.draft.imported) : null;
  return {
    ...does,
    tasks: [...(making.task === null ? [] : [making.task]), ...does.tasks],
    pools: [...(use === null ? [] : [use]), ...does.pools],
  };
}

function declaration(args: { code: string; draft: Draft }, node: AnyNode): string[] {
  const { statements } = args.draft;
  const made =
    node.type === "VariableDeclaration"
      ? node.declarations.map((one) => variable(args, one))
      : [
          statementOf(args, {
            declares: "id" in node && isNode(node.id) ? bound(node.id) : [],
            nodes: [node],
          }),
        ];
  statements.push(...made);
  return made.flatMap(({ declares }) => declares);
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

function readExport(
  args: { code: string; draft: Draft },
  node: Extract<Body, { type: "ExportNamedDeclaration" }>,
) {
  const { exported } = args.draft;
  if (node.declaration) for (const name of declaration(args, node.declaration)) exported.set(name, name);
  for (const { local, exported: to } of node.specifiers) {
    const from = node.source ? String(node.source.value) : null;
    exported.set(keyOf(to), from === null ? keyOf(local) : { from, name: keyOf(local) });
  }
}

function readStatement(args: { code: string; draft: Draft }, node: Body): void {
  const { draft } = args;
  switch (node.type) {
    case "ImportDeclaration":
      readImport(draft, node);
      break;
    case "ExportNamedDeclaration":
      readExport(args, node);
      break;
    case "ExportAllDeclaration":
      if (node.exported)
        draft.exported.set(keyOf(node.exported), { from: String(node.source.value), name: "*" });
      else draft.exportsAllOf.push(String(node.source.value));
      break;
    case "ExportDefaultDeclaration": {
      const [name = DEFAULT] =
        "id" in node.declaration && node.declaration.id ? bound(node.declaration.id) : [];
      draft.statements.push(statementOf(args, { declares: [name], nodes: [node.declaration] }));
      draft.exported.set("default", name);
      break;
    }
    default:
      declaration(args, node);
  }
}

/** Reads the top level of a module. @param code JavaScript, an ES module. */
export function outlineOf(code: string): Outline {
  const { body } = parse(code, { ecmaVersion: "latest", sourceType: "module", allowHashBang: true });
  const draft: Draft = {
    statements: [],
    imported: new Map(),
    exported: new Map(),
    exportsAllOf: [],
    runs: [],
  };
  // Imports hold for the whole module, wherever they stand.
  const first = body.filter((node) => node.type === "ImportDeclaration");
  for (const node of first) readImport(draft, node);
  for (const node of body) if (node.type !== "ImportDeclaration") readStatement({ code, draft }, node);
  return draft;
}
