// From the bare URL to a cited passage.

import assert from "node:assert/strict";

import { Client } from "../lib/client.mjs";
import { look } from "../lib/look.mjs";
import { test } from "../../common/runner.mjs";

const QUESTION = "Are cats attached to their homes?";

test("a stranger sees what this is and where to sign in", async (stage) => {
  const page = await stage.window();
  await page.goto(`${stage.demo.origin}/`);
  await look(page, "home");
  await page.getByRole("link", { name: "Sign in to connect" }).click();
  await page.waitForURL(/\/sign-in/);
  await look(page, "sign-in");
});

test("a wrong password is explained", async (stage) => {
  const page = await stage.window();
  const { email } = stage.user("reader");
  await page.goto(`${stage.demo.origin}/sign-in`);
  await page.getByLabel("E-mail address").fill(email);
  await page.getByLabel("Password").fill("not the password at all");
  await page.getByRole("main").getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("alert").waitFor();
  assert.equal(await page.getByLabel("E-mail address").inputValue(), email, "the address has to be typed again");
  await look(page, "sign-in-refused");
});

// [C-11] Chromium applies form-action to every later hop, and the consent lets them happen.
test("consent, then a client that redirects twice more, then a search", async (stage) => {
  const client = await Client.register(stage.demo, "Browser suite");
  const page = await stage.window();
  await page.goto(client.authorizationUrl());
  await stage.signIn(page, "reader");
  await page.getByRole("button", { name: "Allow" }).waitFor();
  const text = await page.getByRole("main").innerText();
  for (const words of ["Browser suite", "127.0.0.1", stage.user("reader").email]) {
    assert(text.includes(words), `the consent page does not name ${words}`);
  }
  await look(page, "consent");
  await page.getByRole("button", { name: "Allow" }).click();
  await page.waitForURL(client.last);
  stage.left = { client, reader: page };
  await client.redeem();
  const hits = await client.search(QUESTION);
  assert(hits.length, "the search found nothing");
  stage.left.hit = hits[0];
});

test("a refusal goes back to the client too", async (stage) => {
  const client = await Client.register(stage.demo, "Refused");
  const page = stage.left.reader;
  await page.goto(client.authorizationUrl());
  await page.getByRole("button", { name: "Deny" }).click();
  await page.waitForURL(client.last);
  assert.equal(client.back.error, "access_denied");
  assert.equal(client.back.state, client.state);
});

test("what cannot be granted is explained before anybody is sent on", async (stage) => {
  const client = await Client.register(stage.demo, "Asks for too much");
  const page = await stage.window();
  await page.goto(client.authorizationUrl({ scope: "search:read everything" }));
  await stage.signIn(page, "reader");
  await page.getByRole("heading", { name: "cannot be connected" }).waitFor();
  assert.equal(client.back, undefined, "the browser was sent on by itself");
  await look(page, "refused");
  await page.getByRole("link", { name: "Back to the app" }).click();
  await page.waitForURL(client.last);
  assert.equal(client.back.error, "invalid_scope");
  assert.equal(client.back.state, client.state);
});

test("an app that cannot be known is not connected", async (stage) => {
  const client = await Client.register(stage.demo, "Stands in");
  const page = stage.left.reader;
  await page.goto(client.authorizationUrl({ client_id: "https://nowhere.invalid/oauth/client.json" }));
  await page.getByRole("heading", { name: "cannot tell which app" }).waitFor();
  await look(page, "unusable-client");
});

test("an answer to an app on the device comes with a warning", async (stage) => {
  const redirectUri = "reader.example:/callback";
  const client = await Client.register(stage.demo, "An app of this device", { redirectUri });
  const page = stage.left.reader;
  await page.goto(client.authorizationUrl({ redirect_uri: redirectUri }));
  await page.getByText("whichever app on this device opens reader.example: links").waitFor();
  await look(page, "consent-own-scheme");
});

test("the citation opens the passage, highlighted and in view", async (stage) => {
  const { reader: page, hit } = stage.left;
  for (const viewport of [{ width: 1280, height: 800 }, { width: 390, height: 844 }]) {
    await page.setViewportSize(viewport);
    await page.goto(hit.url);
    const mark = page.locator("mark");
    assert.equal(await mark.count(), 1, "not one passage is marked");
    const box = await mark.boundingBox();
    assert(box.y >= 0 && box.y < viewport.height * 0.8,
      `the passage begins ${Math.round(box.y)} pixels down a window of ${viewport.height}`);
  }
  assert.equal(await page.getByRole("heading", { level: 1 }).innerText(), hit.title);
  await look(page, "document");
});
