import type { Page } from "playwright-core";

/** Opens a sign-in link and presses its button, as a person does. */
export async function followSignInLink(page: Page, url: string): Promise<void> {
  await page.goto(url);
  await page.getByRole("button", { name: "Sign this browser in" }).click();
  // The answer redirects to the page that the person asked for.
  await page.waitForURL((at) => at.pathname !== "/sign-in");
}
