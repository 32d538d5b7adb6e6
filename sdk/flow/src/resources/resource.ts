import { type ActiveRun, inScope, type Scope, scopeFor } from "../engine/scope.ts";
import { faultsOf, type InputOf, type OutputOf, type StandardSchema } from "../input/standard-schema.ts";
import { InvalidDefinition, InvalidResource } from "../problem.ts";
import { declareResource } from "./declared.ts";
import {
  type Overrides,
  overridden,
  type SecretsResolved,
  type WithSecrets,
  withSecretValues,
} from "./settings.ts";
import { type StageSettings, unknownSettings } from "./stage-settings.ts";

/** Default time limit for closing a resource, milliseconds. */
const CLOSE_MS = 5000;
const NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/;

interface AnyResource<Settings, Value> {
  /** Its name in stages: lower-case letters, digits, `-` and `_`, at most 63. */
  readonly name: string;
  /** Opens it on the worker. The signal aborts when the run must stop. */
  readonly open: (settings: Settings, context: { readonly signal: AbortSignal }) => Value;
  /** Closes it before the attempt ends, however it ends. A failure is a warning in the log. */
  readonly close?: (value: Awaited<Value>) => unknown;
  /** Time limit for closing, milliseconds. @default 5000 */
  readonly closeMs?: number;
}

/** Options of a resource with a schema for its settings. */
export interface ResourceOptions<Schema extends StandardSchema, Value>
  extends AnyResource<OutputOf<Schema>, Value> {
  /** Any Standard Schema of its settings. It is applied when the resource is opened. */
  readonly config: Schema;
  /** Its settings unless a stage says otherwise; parts of them may come from secrets: `fromSecret("…")`. */
  readonly settings?: WithSecrets<InputOf<Schema>>;
}

/** Options of a resource without a schema: its settings are used unchanged. */
export interface PlainResourceOptions<Settings, Value> extends AnyResource<SecretsResolved<Settings>, Value> {
  readonly config?: undefined;
  /** Its settings unless a stage says otherwise; parts of them may come from secrets: `fromSecret("…")`. */
  readonly settings?: Settings;
}

interface Declared extends AnyResource<never, unknown> {
  readonly config?: StandardSchema | undefined;
  readonly settings?: unknown;
}

/** A test's fake of a resource. */
export interface FakeResource {
  readonly name: string;
  readonly value: unknown;
}

/** A declared resource: a connection, a client or a model that is opened once and shared. */
export interface Resource<Value, Settings = unknown> {
  readonly name: string;
  /**
   * Its settings in a stage, for `stages` in `towpath.config.ts`: `resources: [warehouse.settings({ url: "…" })]`. They
   * override those in the code, field by field.
   */
  settings(overrides: Overrides<Settings>): StageSettings;
  /**
   * The value. The first call in an attempt opens it; later calls get the same value. If opening failed, the next call
   * tries again.
   * @throws InvalidResource | SecretMissing | what `open` throws
   */
  get(): Promise<Awaited<Value>>;
  /** Replaces it in a test: `testRun(flow, input, { resources: [warehouse.fake(…)] })`. */
  fake(value: Awaited<Value>): FakeResource;
}

function checkOptions({ name, closeMs = CLOSE_MS }: Declared): void {
  if (typeof name !== "string" || !NAME.test(name))
    throw new InvalidDefinition(
      `resource name "${name}": use lower-case letters, digits, - and _, at most 63, starting with a letter or digit.`,
    );
  if (!(Number.isFinite(closeMs) && closeMs > 0))
    throw new InvalidDefinition(`resource "${name}": closeMs must be a number of milliseconds, at least 1.`);
}

/** Validates settings with the resource's schema. Without a schema they stay as written. */
async function settingsFor({ name, config }: Declared, written: unknown): Promise<unknown> {
  if (config === undefined) return written;
  const answer = await config["~standard"].validate(written);
  if (answer.issues === undefined) return answer.value;
  throw new InvalidResource(name, faultsOf("settings", answer.issues));
}

/** In the run's scope, because the resource outlives the task that opens it. */
function openFor({ run, calls }: Scope, declared: Declared): Promise<unknown> {
  return inScope({ run, path: "", signal: run.signal, calls }, () => openIn(run, declared));
}

async function openIn(run: ActiveRun, declared: Declared): Promise<unknown> {
  const { name, settings = {}, open, close, closeMs: maxMs = CLOSE_MS } = declared;
  const found = run.host.resource(name);
  if ("fake" in found) return found.fake;
  const unknown = unknownSettings(declared, { path: "settings", given: found.overrides });
  if (unknown.length > 0) throw new InvalidResource(name, unknown);
  const written = withSecretValues(overridden(settings, found.overrides), run.host.secret);
  const value = await open((await settingsFor(declared, written)) as never, { signal: run.signal });
  if (close) run.endings.add({ what: `Closing resource "${name}"`, maxMs, run: () => close(value as never) });
  return value;
}

/** Gives a value the type of its resource. */
function ownValue<Value>(value: unknown): Awaited<Value> {
  return value as Awaited<Value>;
}

/** Declares a resource whose settings a schema checks. */
export function resource<Schema extends StandardSchema, Value>(
  options: ResourceOptions<Schema, Value>,
): Resource<Value, InputOf<Schema>>;
/** Declares a resource whose settings are taken as they are. */
export function resource<Value, Settings = Record<never, never>>(
  options: PlainResourceOptions<Settings, Value>,
): Resource<Value, SecretsResolved<Settings>>;
/**
 * Declares a resource: a value that is opened on the worker when it is first used in an attempt, and closed before the
 * attempt ends. Its settings can differ by stage and can name secrets.
 * @throws InvalidDefinition naming the invalid option.
 * @example
 * export const warehouse = resource({
 *   name: "warehouse",
 *   settings: { url: "postgres://localhost/dev", password: fromSecret("db-password") },
 *   open: (settings) => connect(settings),
 *   close: (connection) => connection.end(),
 * });
 * const rows = await (await warehouse.get()).query("select 1");
 */
export function resource<Value>(options: Declared): Resource<Value, never> {
  checkOptions(options);
  const { name } = options;
  declareResource(options);
  const self: Resource<Value, never> = {
    name,
    async get(): Promise<Awaited<Value>> {
      const scope = scopeFor(`Resource "${name}"`);
      scope.signal.throwIfAborted();
      const { resources } = scope.run;
      const opening = resources.get(self) ?? openFor(scope, options);
      resources.set(self, opening);
      opening.catch(() => resources.get(self) === opening && resources.delete(self));
      return ownValue<Value>(await opening);
    },
    settings: (settings) => ({ resource: name, settings }),
    fake: (value) => ({ name, value }),
  };
  return self;
}
