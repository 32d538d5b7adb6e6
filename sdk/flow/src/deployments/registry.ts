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

/** A repository of an OCI registry, such as Harbor, Artifactory, ECR, GitLab or Docker's own. */
export interface OciRegistry {
  readonly kind: "oci";
  /** What workers' own configuration calls it. */
  readonly name: string;
  /** The registry and the repository: `https://registry.internal/data/flows`. */
  readonly url: string;
  readonly username?: string | undefined;
  readonly password?: PasswordSource | undefined;
  /** The token endpoint that may get the login, if it is on another host than the registry. */
  readonly tokenUrl?: string | undefined;
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
export type Registry = OciLayoutRegistry | OciRegistry | GitRegistry;

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

/**
 * Code in a repository of an OCI registry. Each deploy pushes an image with one layer and a tag of its own.
 * @param url The registry and the repository: `https://registry.internal/data/flows`.
 */
export function oci(
  url: string,
  options: {
    /** What workers' configuration calls it. @default "code" */
    name?: string;
    /** For basic authentication, and for the token endpoint if the registry names one. */
    username?: string;
    password?: PasswordSource;
    /** The token endpoint that may get the login, if it is on another host: `https://auth.docker.io/token`. */
    tokenUrl?: string;
  } = {},
): OciRegistry {
  return { kind: "oci", url, ...options, name: options.name ?? "code" };
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
