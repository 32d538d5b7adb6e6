import type { Deps } from "../../kernel/index.ts";

/** Gives the database a new incarnation that keeps all positions. The restore was long ago, so that nothing waits for workers. */
export async function goBack({ database, incarnations }: Deps): Promise<void> {
  await database.sql`update incarnation set identity = gen_random_uuid()::text`;
  incarnations.forget();
  await incarnations.current();
  await database.sql`update incarnation set since = since - interval '1 hour'`;
  incarnations.forget();
}
