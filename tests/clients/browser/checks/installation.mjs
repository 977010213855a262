// What is wrong with the installation, and its keys.

import assert from "node:assert/strict";
import { request } from "node:http";

import { look } from "../lib/look.mjs";
import { test } from "../../common/runner.mjs";

// Ask for the start page under another name than the server's.
function askUnder(origin, host) {
  return new Promise((resolve, reject) => {
    request(origin, { headers: { host } }, (answer) => answer.resume().on("end", resolve)).on("error", reject).end();
  });
}

async function until(page, url, locator) {
  for (let tries = 0; tries < 20; tries += 1) {
    await page.goto(url, { waitUntil: "networkidle" });
    if (await locator.count()) return;
  }
  await locator.waitFor();
}

test("a wrong address is told to the admins and the operator, who dismisses it", async (stage) => {
  await askUnder(stage.demo.origin, "intranet.of-a-rather-long-organisation-name.example");
  const admin = await stage.seat("admin");
  await until(admin, stage.path(), admin.locator("[data-problem=other-host]"));
  assert.equal(await admin.getByRole("button", { name: "Dismiss" }).count(), 0, "only the operator dismisses it");
  await look(admin, "overview-problem");
  const page = await stage.seat("operator");
  await page.goto(`${stage.demo.origin}/operator`);
  await page.locator("[data-problem=other-host]").waitFor();
  assert(await page.locator("#keys").getByText("Signs", { exact: true }).count(), "no key signs");
  await look(page, "operator-problem");
  await page.locator("[data-problem=other-host]").getByRole("button", { name: "Dismiss" }).click();
  await page.getByText("Dismissed.").waitFor();
  assert.equal(await page.locator("[data-problem=other-host]").count(), 0);
});

test("the operator sees the keys after a rotation", async (stage) => {
  stage.callslip(["keys", "rotate"]);
  const page = await stage.seat("operator");
  await page.goto(`${stage.demo.origin}/operator`);
  assert((await page.locator("#keys tbody tr").count()) >= 2, "the new key is not listed");
  await look(page, "operator-keys");
});
