import { isRef, Ref } from "@towpath/contract";
import { z } from "zod";
import type { Attack } from "../attack.ts";
import { startElsewhere } from "../elsewhere.ts";
import { call, changed, isOf, newRef, speaks, toldTo } from "../lying-refs.ts";
import type { Stage } from "../stage.ts";
import { broken, held, type Verdict } from "../verdict.ts";
import type { Wire } from "../wire.ts";

const Pair = z.object({ one: Ref, list: z.tuple([Ref]) });
const Started = z.looseObject({
  callId: z.string(),
  call: z.looseObject({ kind: z.literal("start-run"), parameters: Pair }),
});
type Started = z.infer<typeof Started>;

/** Runs a flow that starts two runs with two refs each. @returns its run, and the calls as they left */
async function startTwo(stage: Stage, names: { parent: string; child: string }) {
  const calls: Started[] = [];
  const stop = stage.liar.hear((verb, body) => {
    const { data } = Started.safeParse(body);
    const isNew = calls.every(({ callId }) => callId !== data?.callId);
    // A worker may repeat a call whose answer was lost.
    if (verb === "call" && data !== undefined && isNew) calls.push(data);
  });
  const start = (path: string) =>
    call(path, {
      ...{ kind: "start-run", deployment: names.child, onParentEnd: "abandon" },
      parameters: { one: newRef(stage), list: [newRef(stage)] },
    });
  const more = { mayStart: [names.child] };
  const parent = speaks(stage, names.parent, [start("a"), start("b")], more);
  const told = await toldTo(stage, parent);
  stop();
  const how = `${parent.outcome} ${parent.why} ${told.join(", ")}`;
  return { runId: parent.assignment.runId, calls, how };
}

/** Every way to give a child other refs. Each is what an assignment has in place of the honest fields. */
function forgeries(
  stage: Stage,
  args: { a: Started; b: Started; other: string; url: string },
): readonly Wire[] {
  const { a, b, other, url } = args;
  const { one, list } = a.call.parameters;
  const unsigned = (ref: Ref) => ({ ...ref, sha256: ref.sha256.slice(0, 32) + "0".repeat(32) });
  const person = { kind: "person", name: "liar" };
  return [
    // An object of another form is plain data: no engine loads it, and parameters are not signed.
    ...changed(one, url)
      .filter((ref) => isRef(ref))
      .map((ref) => ({ parameters: { one: ref, list } })),
    { parameters: { one: list[0], list: [one] } },
    { parameters: { one, list: [one] } },
    { parameters: { one, list, more: one } },
    { parameters: { one: [one], list } },
    { parameters: b.call.parameters },
    { parameters: { one, list: b.call.parameters.list } },
    { runId: b.callId },
    { deployment: other, spec: stage.sign(stage.spec(other, { parameters: {} })) },
    // The id of a child's run derives from its parent's call, whatever the trigger says.
    { trigger: person, parameters: { one: unsigned(list[0]), list: [unsigned(one)] } },
    { trigger: person, parameters: b.call.parameters },
  ];
}

/** Refs in the parameters of a run that a flow starts. */
export const PARAMETER_REFS: Attack = {
  name: "chosen-parameter-refs",
  group: "refs",
  tries:
    "Starts a flow's runs with refs that were changed, swapped, or belong to another run, parameter or deployment",
  fields: ["claim.assignments[].parameters", "claim.assignments[].trigger.*", "claim.assignments[].runId"],
  isAlone: true,
  async play(stage): Promise<Verdict> {
    const { name } = PARAMETER_REFS;
    const child = `${name}-child`;
    const other = `${name}-other`;
    await using elsewhere = await startElsewhere();
    const { runId, calls, how } = await startTwo(stage, { parent: name, child });
    const [a, b] = calls;
    if (a === undefined || b === undefined) return broken(`no run was started: ${how}`);
    const spec = stage.sign(stage.spec(child, { parameters: {} }));
    const give = (over: Wire) =>
      stage.give(
        stage.assignment(spec, {
          ...{ deployment: child, runId: a.callId, parameters: a.call.parameters },
          trigger: { kind: "run", runId, path: "a" },
          ...over,
        }),
        over.deployment === other ? other : child,
      );
    const forms = forgeries(stage, { a, b, other, url: elsewhere.url });
    for (const [index, form] of forms.entries()) {
      const { ran, outcome, why } = await give(form);
      if (ran || outcome !== "refused")
        return broken(`a run got the refs of lie ${index + 1}: ${outcome} ${why}`);
    }
    const honest = await give({});
    if (!honest.ran) return broken(`honest refs were refused, so nothing was tried: ${honest.why}`);
    const [seen] = await stage.seen(child);
    const got = Pair.safeParse(JSON.parse(seen?.parameters ?? "null"));
    if (!isOf(got.data?.one, a.call.parameters.one))
      return broken("the flow did not get its ref without the MAC");
    const [stray] = elsewhere.heard;
    if (stray !== undefined) return broken(`somebody loaded a chosen address: ${stray}`);
    return held(`each of ${forms.length} lies was refused, and the honest refs after them were not`);
  },
};
