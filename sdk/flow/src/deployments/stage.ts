import { Name } from "@towpath/contract";
import { z } from "zod";

/** What is different on a stage, such as dev or prod: `towpath deploy --stage prod`. */
export interface Stage {
  /** The pool of deployments that name none. @default the project's pool */
  readonly pool?: string | undefined;
  /** The store of the runs' values, by its name in the workers' own configuration. @default the project's store */
  readonly store?: string | undefined;
  /** Pools that stand here for those that the code calls tasks in: `{ gpu: "local" }`. */
  readonly pools?: Readonly<Record<string, string>> | undefined;
  /** Variables of every deployment's processes, put over its own. Not for secrets. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /**
   * Settings of resources by their names, put field by field over those in the code; parts of them may come from secrets. They
   * are pushed with the code and never leave your side.
   */
  readonly resources?: Readonly<Record<string, unknown>> | undefined;
}

/** The schema of a stage. */
export const StageSchema = z.strictObject({
  pool: Name.optional(),
  store: Name.optional(),
  pools: z.record(Name, Name).optional(),
  env: z.record(z.string(), z.string()).optional(),
  resources: z.record(z.string(), z.json()).optional(),
});
