import { chmod, lchown, mkdir } from "node:fs/promises";
import { join } from "node:path";

/*
 * RUNNER/room/        what a process in namespaces shares with its worker. It becomes the claim's room when the runner is taken:
 *                     a mount follows its folder to another name
 *   given/            the token, the parameters and the gateway's socket. The process cannot write here
 *   work/ home/ tmp/  the process's own
 */

/** Where a process in namespaces finds its room. */
export const INSIDE = "/run/towpath";

/** The folders of a room. */
export const ROOM = { given: "given", home: "home", temporary: "tmp" } as const;

/** The name of a room's folder in the folder of a runner or of a claim. */
export const ROOM_NAME = "room";

const GROUP_ADDS = 0o1770;
const GROUP_ENTERS = 0o750;

/** Makes the room of a process. With a user, it stays root's, as the folder of a claim does. */
export async function makeRoom(dir: string, user: { readonly uid: number } | null): Promise<string> {
  const room = join(dir, ROOM_NAME);
  await mkdir(room, { mode: 0o700 });
  const folders = Object.values(ROOM).map((name) => join(room, name));
  await Promise.all(folders.map((folder) => mkdir(folder, { mode: 0o700 })));
  if (user === null) return room;
  const { uid } = user;
  await lchown(join(room, ROOM.given), 0, uid);
  await chmod(join(room, ROOM.given), GROUP_ENTERS);
  await lchown(room, 0, uid);
  await chmod(room, GROUP_ADDS);
  return room;
}
