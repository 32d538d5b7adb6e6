import { CodePin } from "@towpath/contract";
import { git } from "towpath/config";
import { expect, test } from "vitest";
import { commitLink } from "./commit-link.ts";

const COMMIT = "0123456789abcdef0123456789abcdef01234567";
const link = (url: string, more: Parameters<typeof git>[1] = { link: true }) =>
  commitLink(git(url, more), COMMIT);

test.each([
  ["https://github.com/acme/flows.git", `https://github.com/acme/flows/commit/${COMMIT}`],
  ["https://gitlab.com/acme/data/flows.git", `https://gitlab.com/acme/data/flows/-/commit/${COMMIT}`],
  ["https://gitlab.acme.example:8443/flows/", `https://gitlab.acme.example:8443/flows/-/commit/${COMMIT}`],
  ["https://bitbucket.org/acme/flows", `https://bitbucket.org/acme/flows/commits/${COMMIT}`],
  ["https://codeberg.org/acme/flows.git", `https://codeberg.org/acme/flows/commit/${COMMIT}`],
  [
    "https://bot:s3cret@git.acme.example/flows.git?x=s3cret#s3cret",
    `https://git.acme.example/flows/commit/${COMMIT}`,
  ],
])("the commit of %s is read at %s", (url, expected) => {
  expect(link(url)).toBe(expected);
  expect(CodePin.safeParse({ kind: "git", registry: "code", digest: COMMIT, link: link(url) }).success).toBe(
    true,
  );
});

test("the deploy sends no address of the repository unless the project allows it", () => {
  expect(link("https://github.com/acme/flows.git", {})).toBeUndefined();
  expect(link("https://github.com/acme/flows.git", { link: false })).toBeUndefined();
});

test("a project may write the address itself", () => {
  const made = link("git@git.acme.example:flows.git", {
    link: "https://review.acme.example/c/{commit}?view=full",
  });
  expect(made).toBe(`https://review.acme.example/c/${COMMIT}?view=full`);
});

test.each([
  ["git@github.com:acme/flows.git", true, "its address does not use https"],
  ["http://git.acme.example/flows.git", true, "its address does not use https"],
  ["https://github.com/acme/flows.git", "https://review.acme.example/c/", "its link has no {commit}"],
  ["https://github.com/acme/flows.git", "javascript:alert('{commit}')", "its address does not use https"],
  [
    "https://github.com/acme/flows.git",
    "https://bot:s3cret@review.example/{commit}",
    "its link contains a login",
  ],
])("%s with the link %s is refused: %s", (url, wanted, reason) => {
  expect(() => link(url, { link: wanted })).toThrow(reason);
});

test.each(["http://github.com/c", "https://a:b@github.com/c", "javascript:alert(1)"])(
  "no spec links to %s",
  (bad) => {
    expect(CodePin.safeParse({ kind: "git", registry: "code", digest: COMMIT, link: bad }).success).toBe(
      false,
    );
  },
);
