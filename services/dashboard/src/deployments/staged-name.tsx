import { deploymentPartsOf } from "@towpath/contract";

/** The stages of these deployments, each once, by name. */
export function stagesOf(deployments: readonly { readonly name: string }[]): string[] {
  const stages = deployments.map(({ name }) => deploymentPartsOf(name).stage);
  return [...new Set(stages.filter((stage) => stage !== null))].sort();
}

/** A deployment's name. The stage is set apart, so that stages of one deployment are told apart at a glance. */
export function StagedName({ name }: { name: string }) {
  const { deployment, stage } = deploymentPartsOf(name);
  if (stage === null) return name;
  return (
    <>
      {deployment}
      <span className="text-accent">@{stage}</span>
    </>
  );
}
