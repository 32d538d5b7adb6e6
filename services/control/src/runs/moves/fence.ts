/** Which claim of which attempt is writing. */
export interface FenceOf {
  readonly attemptId: string;
  readonly epoch: number;
  readonly nonce: string;
}

/** Whether two fences name the same claim of the same attempt. */
export function sameFence(one: FenceOf, other: FenceOf): boolean {
  return one.attemptId === other.attemptId && one.epoch === other.epoch && one.nonce === other.nonce;
}
