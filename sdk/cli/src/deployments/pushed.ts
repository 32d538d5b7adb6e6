/** What a push has done. */
export interface Pushed {
  readonly digest: string;
  /** False: the registry had the same code already. */
  readonly isNew: boolean;
}
