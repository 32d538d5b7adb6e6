import type { Entry, SpecInput } from "@towpath/contract";

/** Where a password is kept: a variable of the environment, or a file. */
export type SecretSource = { readonly env: string } | { readonly file: string };

/** Where a project's code is pushed. */
export type Registry =
  | { readonly kind: "oci-layout"; readonly name: string; readonly path: string }
  | {
      readonly kind: "git";
      readonly name: string;
      readonly url: string;
      readonly username?: string | undefined;
      readonly password?: SecretSource | undefined;
    };

/** What of a spec a project says about one deployment. */
export type DeploymentSettings = Omit<
  SpecInput,
  "format" | "workspaceId" | "version" | "issuedAt" | "code" | "entry"
>;

/** One deployment of a project. A flow's module is the source's, relative to the project. */
export interface ProjectDeployment {
  readonly entry: Entry;
  readonly settings: DeploymentSettings;
}

/** A project as its `towpath.config.ts` describes it. */
export interface Project {
  readonly root: string;
  readonly name: string;
  readonly registry: Registry;
  /** Patterns of files that belong to the code; undefined: all. */
  readonly files: readonly string[] | undefined;
  readonly deployments: readonly ProjectDeployment[];
}
