import type { Deps } from "../../kernel/index.ts";

/** The database becomes another one that has all the positions of the one before. That was long ago, so that nothing waits for workers. */
export async function goBack({ database, incarnations }: Deps): Promise<void> {
  await database.sql`update incarnation set identity = gen_random_uuid()::text`;
  incarnations.forget();
  await incarnations.current();
  await database.sql`update incarnation set since = since - interval '1 hour'`;
  incarnations.forget();
}
