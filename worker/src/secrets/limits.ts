/** The longest secret that the worker takes, bytes. */
export const SECRET_MAX_BYTES: number = 64 * 1024;
