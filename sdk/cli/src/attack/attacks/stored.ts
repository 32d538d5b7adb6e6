import { createHash } from "node:crypto";
import { copyFile, mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { LIMITS, newWorkspaceKey, StoredBody } from "@towpath/contract";
import { z } from "zod";
import { writeWhole } from "../../kernel/state-folder.ts";
import type { Attack } from "../attack.ts";
import { records, speaks } from "../lying-refs.ts";
import type { Offer } from "../offer.ts";
import type { Stage } from "../stage.ts";
import { broken, held } from "../verdict.ts";
import type { Wire } from "../wire.ts";

/** How long requests are counted, milliseconds. */
const WINDOW_MS = 3_000;
/** The most polls a second, however the liar answers. */
const POLLS_PER_SECOND = 5;

/** Gives the worker of a stage a workspace key, so that it stores bodies and sends them. */
export async function giveWorkspaceKey(stage: Stage): Promise<void> {
  const file = join(stage.ground.folder, `workspace-${stage.name}.key`);
  await writeWhole(file, `${newWorkspaceKey()}\n`, 0o600);
  stage.settings = { ...stage.settings, workspaceKeys: [{ file }] };
  stage.liar.passesStored = true;
}

const Answer = z.looseObject({ id: z.string(), sealed: z.string().optional(), fault: z.string().optional() });
type Answer = z.infer<typeof Answer>;

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

/** A run that shows a large artifact. */
interface Shown {
  readonly runId: string;
  readonly body: StoredBody;
}

async function shownBy(stage: Stage, name: string): Promise<Shown> {
  // A table with more rows than may leave, which is short enough for a command line.
  const rows = Array.from({ length: LIMITS.inlineRows + 1 }, () => [1]);
  const body = { kind: "table", columns: ["n"], rows };
  const record = { type: "artifact", key: "large", body };
  const offer: Offer = speaks(stage, name, [records([record])]);
  await stage.whileAlive(stage.liar.until("the run with an artifact has ended", () => offer.isOver));
  const shown = offer.bulk.find(({ type }) => type === "artifact");
  return { runId: String(offer.assignment.runId), body: StoredBody.parse(Object(shown).body) };
}

/** Asks for reads, and collects what the worker answers. */
class Asker {
  readonly answers = new Map<string, Answer>();
  readonly #stage: Stage;
  readonly stop: () => void;

  constructor(stage: Stage) {
    this.#stage = stage;
    this.stop = stage.liar.hear((verb, body) => {
      const { data } = Answer.safeParse(body);
      if (verb === "answerRead" && data !== undefined) this.answers.set(data.id, data);
    });
  }

  /** @returns the answer; null if the worker discarded the whole request. */
  async ask(read: Wire): Promise<Answer | null> {
    const { liar } = this.#stage;
    const id = liar.id();
    await this.#stage.whileAlive(
      liar.lie("pollReads", { body: (honest) => ({ ...honest, reads: [{ id, ...read }] }) }),
    );
    const before = liar.count("pollReads");
    const isJudged = () => this.answers.has(id) || liar.count("pollReads") > before + 1;
    await this.#stage.whileAlive(liar.until("the worker answers the read, or polls twice more", isJudged));
    return this.answers.get(id) ?? null;
  }
}

const ELSEWHERE: Attack = {
  name: "stored-elsewhere",
  group: "stored",
  tries: "Asks for files of a store that belong to another run, that no run wrote, or that are elsewhere",
  fields: ["pollReads.reads[].*", "answerRead.taken"],
  isAlone: true,
  async play(stage) {
    const { name } = ELSEWHERE;
    const [one, other] = [await shownBy(stage, name), await shownBy(stage, name)];
    const { store, hash } = one.body;
    const fileOf = (runId: string, of: string) =>
      join(stage.ground.folder, "store/runs", runId, "bodies", of);
    // Somebody who can write into the store helps the control plane.
    const moved = fileOf(other.runId, hash);
    await mkdir(dirname(moved), { recursive: true });
    await copyFile(fileOf(one.runId, hash), moved);
    await writeWhole(fileOf(one.runId, sha256(stage.ground.secret)), stage.ground.secret);
    await copyFile(fileOf(one.runId, hash), fileOf(one.runId, "f".repeat(64)));
    const own = { runId: one.runId, hash, store };
    const lies: Wire[] = [
      { ...own, hash: other.body.hash },
      { ...own, runId: other.runId },
      { ...own, hash: sha256(stage.ground.secret) },
      { ...own, hash: "f".repeat(64) },
      { ...own, store: stage.liar.id() },
      ...["../../../secret", "..%2f..%2fsecret", "/etc/passwd", ""].flatMap((path) => [
        { ...own, hash: path },
        { ...own, runId: path },
        { ...own, store: path },
      ]),
      { ...own, hash: [hash] },
    ];
    const asker = new Asker(stage);
    try {
      for (const [index, lie] of lies.entries()) {
        const answer = await asker.ask(lie);
        if (answer?.sealed !== undefined) return broken(`lie ${index + 1} got a file`);
      }
      const honest = await asker.ask(own);
      if (honest?.sealed === undefined || sha256(honest.sealed) !== hash)
        return broken(`an honest read got no file: ${honest?.fault}`);
      return held(`none of ${lies.length} lies got a file, and the honest read after them did`);
    } finally {
      asker.stop();
    }
  },
};

const FLOOD: Attack = {
  name: "stored-flood",
  group: "stored",
  tries: `Answers each poll for reads at once, with ${LIMITS.storedReads} new reads of one file`,
  fields: ["pollReads.reads[].id", "openSession.reads"],
  isAlone: true,
  async play(stage) {
    const { liar, deps } = stage;
    const { runId, body } = await shownBy(stage, FLOOD.name);
    const read = () => ({ id: liar.id(), runId, hash: body.hash, store: body.store });
    liar.habits.set("pollReads", {
      body: (honest) => ({ ...honest, reads: Array.from({ length: LIMITS.storedReads }, read) }),
    });
    const sinceMs = deps.clock.nowMs();
    await stage.whileAlive(new Promise((resolve) => setTimeout(resolve, WINDOW_MS)));
    liar.habits.delete("pollReads");
    const rate = (liar.count("pollReads", sinceMs) * 1_000) / (deps.clock.nowMs() - sinceMs);
    const said = `${rate.toFixed(1)} polls a second; the limit is ${POLLS_PER_SECOND}`;
    return rate <= POLLS_PER_SECOND ? held(said) : broken(said);
  },
};

/** Attacks on a worker that has a workspace key, and sends stored bodies. */
export const STORED_ATTACKS: readonly Attack[] = [ELSEWHERE, FLOOD];
