import { PageQuery, page } from "../kernel/names.ts";
import { ByName, route } from "../kernel/routes.ts";
import {
  Deployment,
  DeploymentVersion,
  RegisterVersion,
  SignedVersion,
  VersionParams,
} from "./deployments.ts";

/** The routes of deployments. */
export const DEPLOYMENTS_ROUTES = {
  registerVersion: route({
    method: "POST",
    path: "/api/deployments",
    summary: "Registers the next version of a deployment from a signed spec.",
    slice: "deployments",
    permission: "deploy",
    body: RegisterVersion,
    answer: Deployment,
    status: 201,
    problems: ["invalid-spec", "version-conflict", "pool-not-found", "queue-not-found", "limit-not-found"],
  }),
  listDeployments: route({
    method: "GET",
    path: "/api/deployments",
    summary: "Deployments by name.",
    slice: "deployments",
    permission: "read",
    query: PageQuery,
    answer: page(Deployment),
    status: 200,
    problems: [],
  }),
  getDeployment: route({
    method: "GET",
    path: "/api/deployments/{name}",
    summary: "One deployment with its latest version.",
    slice: "deployments",
    permission: "read",
    params: ByName,
    answer: Deployment,
    status: 200,
    problems: ["deployment-not-found"],
  }),
  listVersions: route({
    method: "GET",
    path: "/api/deployments/{name}/versions",
    summary: "Versions of a deployment, newest first.",
    slice: "deployments",
    permission: "read",
    params: ByName,
    query: PageQuery,
    answer: page(DeploymentVersion),
    status: 200,
    problems: ["deployment-not-found"],
  }),
  getSpec: route({
    method: "GET",
    path: "/api/deployments/{name}/versions/{version}/spec",
    summary: "The signed spec of one version, byte for byte as it was registered.",
    slice: "deployments",
    permission: "deploy",
    params: VersionParams,
    answer: SignedVersion,
    status: 200,
    problems: ["deployment-not-found"],
  }),
} as const;
