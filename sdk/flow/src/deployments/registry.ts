/** A command that prints a password, such as that of a secret store. */
export interface PasswordCommand {
  readonly exec: {
    /** The program and its arguments. No shell is involved. */
    readonly command: readonly string[];
    /** @default 10000 */
    readonly timeoutMs?: number | undefined;
  };
}

/** The source of a password on the machine that deploys: an environment variable, a file, or a command. */
export type PasswordSource = { readonly env: string } | { readonly file: string } | PasswordCommand;

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

/** Archives below a prefix in a bucket, in AWS or in any store that speaks S3. */
export interface S3Registry {
  readonly kind: "s3";
  /** What workers' own configuration calls it. */
  readonly name: string;
  /** `s3://bucket/prefix`. */
  readonly url: string;
  readonly endpoint?: string | undefined;
  readonly region?: string | undefined;
  readonly accessKeyId?: PasswordSource | undefined;
  readonly secretAccessKey?: PasswordSource | undefined;
  readonly sessionToken?: PasswordSource | undefined;
  /** The archive of another pipeline, in place of the project's own code. */
  readonly digest?: string | undefined;
}

/** Archives in a folder of a web server. */
export interface ArchiveRegistry {
  readonly kind: "archive";
  /** What workers' own configuration calls it. */
  readonly name: string;
  /** The folder's address. An archive is `DIGEST.tar.gz` in it. */
  readonly url: string;
  readonly username?: string | undefined;
  readonly password?: PasswordSource | undefined;
  readonly token?: PasswordSource | undefined;
  /** Whether deploying uploads archives with PUT. */
  readonly push?: boolean | undefined;
  /** The archive of another pipeline, in place of the project's own code. */
  readonly digest?: string | undefined;
}

/** A package of an npm registry, such as Verdaccio, Artifactory, Nexus, GitLab or GitHub. */
export interface NpmRegistry {
  readonly kind: "npm";
  /** What workers' own configuration calls it. */
  readonly name: string;
  /** The registry's address: `https://npm.internal`. */
  readonly url: string;
  /** The package with its scope: `@data/flows`. */
  readonly package: string;
  readonly token?: PasswordSource | undefined;
  readonly username?: string | undefined;
  readonly password?: PasswordSource | undefined;
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
export type Registry =
  | OciLayoutRegistry
  | OciRegistry
  | S3Registry
  | ArchiveRegistry
  | NpmRegistry
  | GitRegistry;

/** A registry as its builder makes it: the name is what workers' configuration calls it. */
function withName<Kind extends Registry["kind"], Options extends { readonly name?: string }>(
  kind: Kind,
  url: string,
  options: Options,
): Omit<Options, "name"> & { readonly kind: Kind; readonly url: string; readonly name: string } {
  return { kind, url, ...options, name: options.name ?? "code" };
}

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
  return withName("oci", url, options);
}

/**
 * Code as archives in a bucket, in AWS or in any store that speaks S3.
 * @param url `s3://bucket/prefix`.
 */
export function s3(
  url: string,
  options: {
    /** What workers' configuration calls it. @default "code" */
    name?: string;
    /** The address of a store outside AWS. */
    endpoint?: string;
    /** @default the variable `AWS_REGION`, or `us-east-1` */
    region?: string;
    /** @default the variable `AWS_ACCESS_KEY_ID` */
    accessKeyId?: PasswordSource;
    /** @default the variable `AWS_SECRET_ACCESS_KEY` */
    secretAccessKey?: PasswordSource;
    /** @default the variable `AWS_SESSION_TOKEN`, if it is set */
    sessionToken?: PasswordSource;
    /**
     * `sha256:` and 64 hex digits: the archive `SHA256.tar.gz`, which another pipeline has built and uploaded. A deploy then pushes
     * nothing, and the project can have only commands. @default the archive of the project's own code
     */
    digest?: string;
  } = {},
): S3Registry {
  return withName("s3", url, options);
}

/**
 * Code as archives in a folder of a web server. A deploy uploads an archive with PUT, or checks that somebody has uploaded it.
 * @param url The folder's address, such as `https://files.internal/flows`.
 */
export function archive(
  url: string,
  options: {
    /** What workers' configuration calls it. @default "code" */
    name?: string;
    /** For basic authentication, with `password`. */
    username?: string;
    password?: PasswordSource;
    /** A token that is sent as `Bearer`, in place of a password. */
    token?: PasswordSource;
    /** Whether a deploy uploads archives with PUT. @default false */
    push?: boolean;
    /**
     * `sha256:` and 64 hex digits: the archive `SHA256.tar.gz`, which another pipeline has built and uploaded. A deploy then pushes
     * nothing, and the project can have only commands. @default the archive of the project's own code
     */
    digest?: string;
  } = {},
): ArchiveRegistry {
  return withName("archive", url, options);
}

/**
 * Code as versions of a package in an npm registry. The version comes from the code.
 * @param url The registry's address, such as `https://npm.internal`.
 */
export function npm(
  url: string,
  options: {
    /** The package with its scope: `@data/flows`. */
    package: string;
    /** What workers' configuration calls it. @default "code" */
    name?: string;
    /** A token of the registry that may publish the package. */
    token?: PasswordSource;
    /** For basic authentication in place of a token, with `password`. */
    username?: string;
    password?: PasswordSource;
  },
): NpmRegistry {
  return withName("npm", url, options);
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
  return withName("git", url, options);
}
