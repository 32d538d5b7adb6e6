import {
  type Assignment,
  deploymentPartsOf,
  isDerivedId,
  type JsonPlace,
  mapRefs,
  remoteTaskOf,
} from "@towpath/contract";
import { type RefOwner, type RefSigner, withoutMac } from "../store/sign-refs.ts";
import { Refusal } from "../trust/index.ts";

/** A run that another run starts. */
interface StartedRun {
  readonly runId: string;
  /** The name of its deployment. The flow that starts it may leave out the stage, so the stage does not count. */
  readonly deployment: string;
  readonly parameters: Assignment["parameters"];
}

function ownerOf({ runId, deployment }: StartedRun, place: JsonPlace): RefOwner {
  return ["parameter", deploymentPartsOf(deployment).deployment, runId, JSON.stringify(place)];
}

/** Parameters as they leave with `start-run`: each ref in them is signed for the run that starts and for its place. */
export function signedParameters(refs: RefSigner, run: StartedRun): Assignment["parameters"] {
  return mapRefs(run.parameters, (ref, place) => refs.signed(ref, ownerOf(run, place)));
}

/**
 * The parameters of a run as its flow gets them: refs without MACs. A flow's run has an id that derives from its parent's call, so
 * the control plane cannot make another trigger of it. For other runs a person or a program chose the refs, and nothing is proved.
 * @throws Refusal `wrong-ref` for a ref that the parent's worker did not sign for this run and place.
 */
export function checkedParameters(
  refs: RefSigner,
  args: {
    readonly assignment: Pick<Assignment, "runId" | "deployment" | "trigger">;
    readonly parameters: Assignment["parameters"];
  },
): Assignment["parameters"] {
  const { assignment, parameters } = args;
  const { runId, deployment, trigger } = assignment;
  if (remoteTaskOf(trigger) !== null) return parameters;
  const isStarted = trigger.kind === "run" || isDerivedId(runId);
  return mapRefs(parameters, (ref, place) => {
    if (!isStarted) return withoutMac(ref);
    const checked = refs.checked(ref, ownerOf({ runId, deployment, parameters }, place));
    if (checked !== null) return checked;
    const sentence = (where: string) =>
      `The worker refused ${where}. It was changed on its way, it belongs to another run or parameter, or the worker of the run that started this one has another store, other store keys or an earlier release. Start the run again from its parent. A run that a person starts may have any ref.`;
    throw new Refusal(
      "wrong-ref",
      sentence(`the ref in the parameter "${place.join(".")}"`),
      sentence("a ref in the parameters"),
    );
  });
}

/** Parameters whose refs were checked before, as the flow gets them. */
export function plainRefs(parameters: Assignment["parameters"]): Assignment["parameters"] {
  return mapRefs(parameters, withoutMac);
}
