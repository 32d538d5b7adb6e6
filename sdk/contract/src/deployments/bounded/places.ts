/** The program of a checking thread. The published package keeps it elsewhere, and replaces this module. */
export const CHECK_THREAD = new URL("./thread.ts", import.meta.url);
