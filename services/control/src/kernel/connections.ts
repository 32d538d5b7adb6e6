/** The default number of connections of a process for work and for people's reads. */
export const CONNECTIONS = { work: 10, read: 4 } as const;

/** Connections that bypass drizzle, for NOTIFY and for the position in the write-ahead log. */
export const RAW_CONNECTIONS = 2;

/** Those, and the one that listens. */
export const WAKE_CONNECTIONS: number = RAW_CONNECTIONS + 1;
