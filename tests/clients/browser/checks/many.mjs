// Pages with much on them.

import assert from "node:assert/strict";

import { Client } from "../lib/client.mjs";
import { look } from "../lib/look.mjs";
import { test } from "../../common/runner.mjs";

const APPS = 40;

test("forty apps are listed, and one is revoked for everybody", async (stage) => {
  let page = await stage.seat("admin");
  await page.goto(stage.path("/settings"));
  await page.getByRole("radio", { name: "Any app" }).check();
  await page.getByRole("button", { name: "Save settings" }).click();
  await page.getByText("The settings were saved.").waitFor();

  for (let number = 1; number <= APPS; number += 1) {
    const one = await Client.register(stage.demo, `Assistant ${number} ${"of a long and windy name".repeat(number % 3)}`.slice(0, 60).trim());
    await one.connect(stage.left.reader);
  }
  const shared = "Everybody’s assistant, which has a name of sixty characters!";
  const clients = [];
  for (const seat of [stage.left.reader, page]) {
    clients.push(await Client.register(stage.demo, shared));
    await clients.at(-1).connect(seat);
  }
  await page.goto(stage.path("/apps"));
  assert((await page.getByRole("row").count()) > APPS, "not every app is listed");
  await look(page, "apps-many");
  await page.getByRole("link", { name: shared }).click();
  await page.getByRole("heading", { level: 1, name: shared }).waitFor();
  await look(page, "app");
  await page.getByRole("button", { name: "Revoke for everybody" }).first().click();
  const dialog = page.getByRole("dialog");
  await dialog.waitFor();
  await look(page, "app-revoke");
  await dialog.getByRole("button", { name: "Revoke for everybody" }).click();
  await page.getByText("Access was revoked").waitFor();
  for (const client of clients) assert.equal((await client.call("search", { query: "cats" })).status, 401);

  page = stage.left.reader;
  await page.goto(`${stage.demo.origin}/account`);
  await look(page, "account-many");
  await page.goto(stage.path("/apps"));
  await look(page, "apps-own");
});

test("an account with a long address and two tenants, and no app yet", async (stage) => {
  const page = await stage.seat("guest");
  await page.goto(`${stage.demo.origin}/account`);
  await page.getByRole("heading", { name: "No app is connected" }).waitFor();
  await look(page, "account-none");
  await page.goto(`${stage.demo.origin}/t/society/apps`);
  await look(page, "apps-own-none");
});
