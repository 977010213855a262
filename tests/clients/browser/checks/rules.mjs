// Which apps a tenant lets in: the settings, those that wait, and what is decided.

import assert from "node:assert/strict";

import { Client } from "../lib/client.mjs";
import { focused, look, tabTo } from "../lib/look.mjs";
import { test } from "../../common/runner.mjs";

const HOSTS = Array.from({ length: 20 }, (_, number) => `host-${number + 1}.of-a-rather-long-organisation-name.example`);
const row = (page, name) => page.getByRole("row").filter({ hasText: name });

async function choose(stage, rule) {
  const page = await stage.seat("admin");
  await page.goto(stage.path("/settings"));
  await page.getByRole("radio", { name: rule }).check();
  await page.getByRole("button", { name: "Save settings" }).click();
  return page;
}

test("settings: what was typed stays, and the focus goes to what is wrong", async (stage) => {
  const page = await stage.seat("admin");
  await page.goto(stage.path());
  await page.getByRole("navigation").getByRole("link", { name: "Settings" }).click();
  await page.getByRole("radio", { name: "Any app" }).waitFor();
  await look(page, "settings");
  await page.getByRole("radio", { name: "Apps of listed hosts" }).check();
  await page.getByRole("textbox", { name: "Hosts" }).fill(`${HOSTS.join("\n")}\nhttps://claude.ai/`);
  await page.getByRole("radio", { name: "Any app" }).check(); // what is wrong shows all the same
  await page.getByRole("button", { name: "Save settings" }).click();
  await page.getByText("Write the host alone").waitFor();
  assert((await page.getByRole("textbox", { name: "Hosts" }).inputValue()).includes("https://claude.ai/"), "the hosts have to be typed again");
  assert((await focused(page)).name.startsWith("Hosts"), "the field to mend does not have the focus");
  await look(page, "settings-refused");
});

test("settings: another admin's change is not overwritten unseen", async (stage) => {
  const page = await stage.seat("admin");
  await page.goto(stage.path("/settings"));
  const other = await page.context().newPage();
  await other.goto(stage.path("/settings"));
  await other.getByRole("spinbutton").fill("90");
  await other.getByRole("button", { name: "Save settings" }).click();
  await other.getByText("The settings were saved.").waitFor();
  await look(other, "settings-saved");
  await other.close();
  await page.getByRole("spinbutton").fill("30");
  await page.getByRole("button", { name: "Save settings" }).click();
  await page.getByText("Somebody else").waitFor();
  assert.equal((await focused(page)).role, "alert", "the reason does not have the focus");
  await look(page, "settings-stale");
});

test("settings that cut apps off ask first", async (stage) => {
  const client = await Client.register(stage.demo, "Connected before the rule");
  await client.connect(stage.left.reader);
  const page = await choose(stage, "Apps that an admin has approved");
  await page.getByRole("heading", { name: "cut connected apps off" }).waitFor();
  await row(page, "Connected before the rule").waitFor();
  await look(page, "settings-confirm");
  await page.getByRole("button", { name: /^Approve/ }).click();
  await page.getByText("The settings were saved.").waitFor();
  assert.equal((await client.call("search", { query: "cats" })).status, 200);
});

// [C-12] Asked on the consent page, decided on the apps page.
test("a member asks for an app, an admin decides, and takes it back", async (stage) => {
  const page = stage.left.reader;
  const client = await Client.register(stage.demo, "Reading group");
  const ask = page.getByRole("button", { name: "Ask an admin" });
  await page.goto(client.authorizationUrl());
  await ask.waitFor();
  await look(page, "consent-ask");
  await tabTo(page, "Ask an admin", 30);
  await page.keyboard.press("Enter");
  await page.getByText("has been asked").waitFor();
  await look(page, "consent-asked");
  for (const name of ["Unwanted", "TheQuiteUnbrokenNameOfAnAppThatWaitsAndHasSixtyLettersIndeed"]) {
    const other = await Client.register(stage.demo, name.slice(0, 60), { redirectUri: "reader.example:/callback" });
    await page.goto(other.authorizationUrl({ redirect_uri: "reader.example:/callback" }));
    await ask.click();
    await page.getByText("has been asked").waitFor();
  }

  const admin = await stage.seat("admin");
  await admin.goto(stage.path());
  await look(admin, "overview-waiting");
  await admin.getByRole("link", { name: "Decide" }).click();
  await row(admin, "Reading group").waitFor();
  await look(admin, "apps-waiting");
  await tabTo(admin, "Approve Reading group", 60);
  await admin.keyboard.press("Enter");
  await admin.getByText("The app is approved").waitFor();
  await admin.getByRole("button", { name: "Refuse Unwanted" }).click();
  await admin.getByText("The app is refused").waitFor();
  await client.connect(page);
  assert.equal((await client.call("search", { query: "cats" })).status, 200);
  await admin.goto(stage.path("/apps"));
  await look(admin, "apps-decided");

  await row(admin, "Reading group").getByRole("button", { name: "Take back" }).click();
  const dialog = admin.getByRole("dialog");
  await dialog.waitFor();
  await look(admin, "apps-take-back");
  await dialog.getByRole("button", { name: "Take back and cut off" }).click();
  await admin.getByText("The approval is taken back").waitFor();
  assert.equal((await client.call("search", { query: "cats" })).status, 401);
  await admin.getByRole("button", { name: /Approve after all.*Unwanted/ }).click();
  await admin.getByText("The app is approved").waitFor();
});

test("an admin approves on the spot", async (stage) => {
  const client = await Client.register(stage.demo, "Approved on the spot");
  const page = await stage.seat("admin");
  await page.goto(client.authorizationUrl());
  await page.getByRole("button", { name: "Approve it for" }).waitFor();
  await look(page, "consent-approve");
  await page.getByRole("button", { name: "Approve it for" }).click();
  await page.getByRole("button", { name: "Allow" }).click();
  await page.waitForURL(client.last);
  await client.redeem();
});

test("with scripts off: a member asks and an admin approves", async (stage) => {
  const client = await Client.register(stage.demo, "Asked for without scripts");
  const page = await stage.window({ javaScriptEnabled: false });
  await page.goto(client.authorizationUrl());
  await stage.signIn(page, "reader");
  await page.getByRole("button", { name: "Ask an admin" }).click();
  await page.getByText("has been asked").waitFor();
  await page.context().clearCookies();
  await page.goto(`${stage.demo.origin}/sign-in`);
  await stage.signIn(page, "admin");
  await page.goto(stage.path("/apps"));
  await page.getByRole("button", { name: "Approve Asked for without scripts" }).click();
  await page.getByText("The app is approved").waitFor();
  await page.context().close();
});

test("hosts that are not listed are turned away, and in one of two tenants only", async (stage) => {
  let page = await choose(stage, "Apps of listed hosts");
  await page.getByText("List at least one host").waitFor();
  await page.getByRole("textbox", { name: "Hosts" }).fill(HOSTS.join("\n"));
  await page.getByRole("button", { name: "Save settings" }).click();
  await page.getByRole("button", { name: "Cut off and save" }).click();
  await page.getByText("The settings were saved.").waitFor();
  await look(page, "settings-hosts");
  const client = await Client.register(stage.demo, "Not of a listed host");
  page = stage.left.reader;
  await page.goto(client.authorizationUrl());
  await page.getByText("is not among them").waitFor();
  await look(page, "consent-not-listed");
  client.resource = `${stage.demo.origin}/mcp`;
  page = await stage.seat("guest");
  await page.goto(client.authorizationUrl());
  await page.getByText("is not among them").waitFor();
  await look(page, "consent-one-of-two");
});
