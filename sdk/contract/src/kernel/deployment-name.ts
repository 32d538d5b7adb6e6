/** The parts of a deployment's name. */
export interface DeploymentParts {
  /** The name in the project. */
  readonly deployment: string;
  /** Null: it was deployed without a stage. */
  readonly stage: string | null;
}

/**
 * The name of a deployment from its parts, as in a signed spec. Everything that belongs to a deployment is kept under this
 * name. Specs that were signed before stages were part of the name have no `stage`.
 */
export function deploymentNameOf({
  deployment,
  stage,
}: {
  readonly deployment: string;
  readonly stage?: string | null | undefined;
}): string {
  return stage ? `${deployment}@${stage}` : deployment;
}

/** The parts of a deployment's name. */
export function deploymentPartsOf(name: string): DeploymentParts {
  const [deployment = "", stage = null] = name.split("@");
  return { deployment, stage };
}
