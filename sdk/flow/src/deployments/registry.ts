/** The source of a password: an environment variable or a file. */
export type PasswordSource = { readonly env: string } | { readonly file: string };

/** A folder in OCI image layout, for one machine or a shared disk. */
export interface OciLayoutRegistry {
  readonly kind: "oci-layout";
  /** What workers' own configuration calls it. */
  readonly name: string;
  /** The folder, relative to the project's root. Made by the first deploy. */
  readonly path: string;
}

/** A git repository. Deploying pushes a commit to its own branch there, and the spec pins the commit. */
export interface GitRegistry {
  readonly kind: "git";
  /** What workers' own configuration calls it. */
  readonly name: string;
  readonly url: string;
  /** For basic authentication, with `password`. */
  readonly username?: string | undefined;
  readonly password?: PasswordSource | undefined;
  /** Whether versions link to their commit, or the URL with `{commit}` as the placeholder. */
  readonly link?: boolean | string | undefined;
}

/** The customer's code registry. The control plane learns its name, and only what `link` reveals of its address. */
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
     * Links versions and runs on screen to their commit. `true` derives the link from an https URL as GitHub, GitLab,
     * Bitbucket and Gitea do. A text is a URL with `{commit}` in it. The link leaves your network with the spec.
     * @default false
     */
    link?: boolean | string;
  } = {},
): GitRegistry {
  return { kind: "git", url, ...options, name: options.name ?? "code" };
}
