/**
 * Clients of code registries, for the command that pushes code and the worker that fetches it. They need Node's own modules,
 * so that this is a door of its own (`@towpath/contract/registries`).
 */
export { type Archives, archiveUrl, type HttpArchiveAccess, openHttpArchives } from "./archives.ts";
export { RegistryFault, type RegistryFaultCode } from "./fault.ts";
export type { RegistryAnswer, RegistryGround } from "./http.ts";
export { NPM_CODE_FOLDER, type NpmAccess, openNpmPackage } from "./npm.ts";
export { type OciRepository, openOciRepository, sha256Digest } from "./oci.ts";
export type { OciAccess } from "./oci-login.ts";
export { openS3Archives, type S3ArchiveAccess } from "./s3.ts";
export { type SshFiles, sshConfig, sshEnvironment, sshFileText } from "./ssh.ts";
