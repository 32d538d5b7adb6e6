import { z } from "zod";
import { Id, PageQuery, page } from "../kernel/names.ts";
import { route } from "../kernel/routes.ts";
import { CreatedKey, CreateKey, Key, Me, SignInLink } from "./keys.ts";

/** The routes of identity. */
export const IDENTITY_ROUTES = {
  getMe: route({
    method: "GET",
    path: "/api/me",
    summary: "Who is calling, in which workspace, and the server's version and time.",
    slice: "identity",
    permission: "read",
    rate: "read",
    answer: Me,
    status: 200,
    problems: [],
  }),
  createKey: route({
    method: "POST",
    path: "/api/keys",
    summary: "Makes an API key or a worker key; its secret is shown once.",
    slice: "identity",
    permission: "admin",
    rate: "write",
    body: CreateKey,
    answer: CreatedKey,
    status: 201,
    problems: [],
  }),
  listKeys: route({
    method: "GET",
    path: "/api/keys",
    summary: "Keys of the workspace, newest first, never their secrets.",
    slice: "identity",
    permission: "admin",
    rate: "read",
    query: PageQuery,
    answer: page(Key),
    status: 200,
    problems: [],
  }),
  revokeKey: route({
    method: "DELETE",
    path: "/api/keys/{keyId}",
    summary: "Revokes a key at once. Repeating it changes nothing.",
    slice: "identity",
    permission: "admin",
    rate: "write",
    params: z.object({ keyId: Id }),
    answer: "none",
    status: 204,
    problems: ["key-not-found"],
  }),
  createSignInLink: route({
    method: "POST",
    path: "/api/sign-in-links",
    summary: "A link that signs one browser in, once.",
    slice: "identity",
    permission: "read",
    rate: "write",
    answer: SignInLink,
    status: 201,
    problems: [],
  }),
} as const;
