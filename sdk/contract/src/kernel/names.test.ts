import fc from "fast-check";
import { expect, test } from "vitest";
import { deploymentNameOf, deploymentPartsOf } from "./deployment-name.ts";
import { DEPLOYMENT_NAME_CHARS, DeploymentName, Name } from "./names.ts";

const name = fc.stringMatching(/^[a-z0-9][a-z0-9_-]{0,62}$/);

test("A deployment's name and its parts determine each other, so two deployments never share a name", () => {
  fc.assert(
    fc.property(name, fc.option(name), (deployment, stage) => {
      const whole = deploymentNameOf({ deployment, stage });
      expect(DeploymentName.safeParse(whole).success).toBe(true);
      expect(whole.length).toBeLessThanOrEqual(DEPLOYMENT_NAME_CHARS);
      expect(deploymentPartsOf(whole)).toEqual({ deployment, stage });
    }),
  );
});

test.each(["@prod", "churn@", "churn@prod@test", "churn@Prod", "a".repeat(64), `a@${"b".repeat(64)}`, "a b"])(
  "%s is not a deployment's name",
  (text) => expect(DeploymentName.safeParse(text).success).toBe(false),
);

test("Neither the name in a project nor a stage contains @", () => {
  expect(Name.safeParse("churn@prod").success).toBe(false);
});

test("A spec from before stages were signed has the name without a stage", () => {
  expect(deploymentNameOf({ deployment: "churn" })).toBe("churn");
});
