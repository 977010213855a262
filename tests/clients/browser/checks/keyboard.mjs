// Everything without a mouse.

import assert from "node:assert/strict";

import { Client } from "../lib/client.mjs";
import { focused, tabTo } from "../lib/look.mjs";
import { test } from "../../common/runner.mjs";

test("sign-in and consent work by keyboard alone, and the focus shows", async (stage) => {
  const client = await Client.register(stage.demo, "Keyboard");
  const page = await stage.window();
  const { email, password } = stage.user("reader");
  await page.goto(client.authorizationUrl());
  assert((await focused(page)).name.startsWith("E-mail"), "the first field does not have the focus");
  await page.keyboard.type(email);
  await tabTo(page, "Password", 1);
  await page.keyboard.type(password);
  await tabTo(page, "Sign in", 1);
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Allow" }).waitFor();
  await tabTo(page, "Allow", 20);
  await page.keyboard.press("Enter");
  await page.waitForURL(client.last);
  await client.redeem();
});

test("the skip link leads past the navigation", async (stage) => {
  const page = await stage.seat("admin");
  await page.goto(stage.path("/documents"));
  await tabTo(page, "Skip to content", 1);
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  const isInside = await page.evaluate(() => document.querySelector("main").contains(document.activeElement));
  assert(isInside, "the next stop is not in the main part");
});

test("Tab reaches the main act of every page", async (stage) => {
  const page = await stage.seat("admin");
  for (const [path, act] of [["", "Copy"], ["/documents", "Add"], ["/vector-stores", "Remove"], ["/apps", "Details"], ["/service-clients", "Add back end"], ["/settings", "Save settings"], ["/activity", "Show"]]) {
    await page.goto(stage.path(path));
    await tabTo(page, act, 60);
  }
});

test("a question is answered by keyboard, and Escape takes it back", async (stage) => {
  const page = await stage.seat("admin");
  await page.goto(stage.path("/apps"));
  await tabTo(page, "Details: Keyboard", 40);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: "Keyboard" }).waitFor();
  await tabTo(page, "Revoke", 40);
  await page.keyboard.press("Enter");
  const dialog = page.getByRole("dialog");
  await dialog.waitFor();
  assert.equal((await focused(page)).name, "Keep", "the harmless answer does not have the focus");
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "hidden" });
  assert((await focused(page)).name.startsWith("Revoke"), "the focus did not come back");
});
