/** What a push has done. */
export interface Pushed {
  readonly digest: string;
  /** The version of a package of an npm registry. */
  readonly version?: string;
  /** False: the registry had the same code already. */
  readonly isNew: boolean;
}
