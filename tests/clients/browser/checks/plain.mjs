// Everything with scripts off.

import assert from "node:assert/strict";

import { Client } from "../lib/client.mjs";
import { test } from "../../common/runner.mjs";

test("with scripts off: sign in, consent, upload, delete, revoke", async (stage) => {
  const client = await Client.register(stage.demo, "Without scripts");
  const page = await stage.window({ javaScriptEnabled: false });
  await page.goto(client.authorizationUrl());
  await stage.signIn(page, "admin");
  await page.getByRole("button", { name: "Allow" }).click();
  await page.waitForURL(client.last);
  await client.redeem();
  assert.equal((await client.call("search", { query: "cats" })).status, 200);

  await page.goto(stage.path("/documents"));
  await page.getByLabel("Files").setInputFiles({ name: "plain.txt", mimeType: "text/plain", buffer: Buffer.from("A plain note on the harbour cat.\n") });
  await page.getByRole("button", { name: "Add", exact: true }).click();
  const row = page.getByRole("region", { name: "Documents in the list" }).getByRole("row", { name: /plain/ });
  // Whoever has no scripts loads the page again until the file has been read.
  for (let look = 0; look < 30 && !(await row.isVisible()); look += 1) {
    await page.waitForTimeout(500);
    await page.goto(stage.path("/documents"));
  }
  await row.waitFor();
  await row.getByRole("button", { name: "Delete", exact: true }).click();
  await page.getByRole("button", { name: "Delete document" }).click();
  await row.waitFor({ state: "detached" });

  await page.goto(stage.path("/apps"));
  const app = page.getByRole("row", { name: /Without scripts/ });
  await app.getByRole("link", { name: "Details" }).click();
  await page.getByRole("button", { name: "Revoke for everybody" }).first().click();
  await page.getByRole("dialog").getByRole("button", { name: "Revoke for everybody" }).click();
  await app.waitFor({ state: "detached" });
  assert.equal((await client.call("search", { query: "cats" })).status, 401);
});

test("with scripts off: a refused file is named with its reason", async (stage) => {
  const page = await stage.window({ javaScriptEnabled: false });
  await page.goto(`${stage.demo.origin}/sign-in`);
  await stage.signIn(page, "admin");
  await page.goto(stage.path("/documents"));
  await page.getByLabel("Files").setInputFiles({ name: "not-a.pdf", mimeType: "application/pdf", buffer: Buffer.from("GIF89a") });
  await page.getByRole("button", { name: "Add", exact: true }).click();
  await page.getByRole("alert").getByText("not-a.pdf").waitFor();
});
