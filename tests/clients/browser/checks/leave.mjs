// Signing out.

import { test } from "../../common/runner.mjs";

test("signing out ends the session in this browser", async (stage) => {
  const page = await stage.seat("admin");
  await page.goto(stage.path());
  await page.getByLabel(`Account ${stage.user("admin").email}`).click();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.waitForURL((url) => !url.pathname.startsWith("/t/"));
  await page.goto(stage.path("/documents"));
  await page.waitForURL(/\/sign-in\?/);
});
