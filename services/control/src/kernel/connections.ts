/** How many connections a process opens for work and for people's reads unless it is told otherwise. */
export const CONNECTIONS = { work: 10, read: 4 } as const;

/** Connections for what drizzle cannot say: for waking others, and for asking how far the log is. */
export const RAW_CONNECTIONS = 2;

/** Those, and the one that listens. */
export const WAKE_CONNECTIONS: number = RAW_CONNECTIONS + 1;
