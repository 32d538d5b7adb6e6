/** Where a password is kept: a variable of the environment, or a file. */
export type PasswordSource = { readonly env: string } | { readonly file: string };

/** A folder in OCI image layout: what one machine, or a shared disk, needs. */
export interface OciLayoutRegistry {
  readonly kind: "oci-layout";
  /** What workers' own configuration calls it. */
  readonly name: string;
  /** The folder, relative to the project's root. Made by the first deploy. */
  readonly path: string;
}

/** A git repository: deploying pushes a commit to a branch of its own there, and the spec pins the commit. */
export interface GitRegistry {
  readonly kind: "git";
  /** What workers' own configuration calls it. */
  readonly name: string;
  readonly url: string;
  /** For basic authentication, with `password`. */
  readonly username?: string | undefined;
  readonly password?: PasswordSource | undefined;
  /** Whether versions tell where people read their commit, or where that is, with `{commit}` in the commit's place. */
  readonly link?: boolean | string | undefined;
}

/** Where the customer keeps code. The control plane learns its name, and of its address no more than `link` tells. */
export type Registry = OciLayoutRegistry | GitRegistry;

/** Code in a folder in OCI image layout, relative to the project's root. */
export function ociLayout(
  path: string,
  options: {
    /** What workers' configuration calls it. @default "local" */
    name?: string;
  } = {},
): OciLayoutRegistry {
  return { kind: "oci-layout", name: options.name ?? "local", path };
}

/** Code in a git repository, over any transport that git knows. */
export function git(
  url: string,
  options: {
    /** What workers' configuration calls it. @default "code" */
    name?: string;
    username?: string;
    password?: PasswordSource;
    /**
     * Lets versions and runs on screen link to their commit: `true` makes the link of an https address as GitHub, GitLab,
     * Bitbucket and Gitea have it; else an address with `{commit}` in it. It leaves your network with the spec.
     * @default false
     */
    link?: boolean | string;
  } = {},
): GitRegistry {
  return { kind: "git", url, ...options, name: options.name ?? "code" };
}
