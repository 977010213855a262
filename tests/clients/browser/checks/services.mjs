// Back ends: made, shown once, changed, ended.

import assert from "node:assert/strict";

import { focused, look, tabTo } from "../lib/look.mjs";
import { test } from "../../common/runner.mjs";

const NAME = "Nightly digest of everything that came in since yesterday ok";
const row = (page, name) => page.getByRole("row").filter({ hasText: name });
const introspect = (stage, id, secret) => fetch(`${stage.demo.origin}/oauth/token`, {
  method: "POST",
  headers: { authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString("base64")}` },
  body: new URLSearchParams({ grant_type: "client_credentials", scope: "search:read", resource: stage.demo.mcp_url }),
});

test("back ends: nothing yet, and a form that keeps what was typed", async (stage) => {
  const page = await stage.seat("admin");
  await page.goto(stage.path());
  await page.getByRole("navigation").getByRole("link", { name: "Back ends" }).click();
  await page.getByRole("heading", { name: "No back end yet" }).waitFor();
  await look(page, "services-none");
  await page.getByRole("textbox", { name: "Name" }).fill(NAME);
  await page.getByRole("radio", { name: "A key of its own" }).check();
  await page.getByLabel("Public keys").fill("{}");
  await page.getByRole("button", { name: "Add back end" }).click();
  await page.getByText("Tick at least one vector store").waitFor();
  assert.equal(await page.getByRole("textbox", { name: "Name" }).inputValue(), NAME, "the name has to be typed again");
  assert((await focused(page)).name.startsWith("Search and read"), "the field to mend does not have the focus");
  await look(page, "services-refused");
});

test("a back end is made: its secret is shown once, and works", async (stage) => {
  const page = await stage.seat("admin");
  await page.goto(stage.path("/service-clients"));
  await page.getByRole("textbox", { name: "Name" }).fill(NAME);
  await page.getByRole("checkbox", { name: "Our Cats", exact: true }).check();
  await page.getByRole("checkbox", { name: "Check tokens" }).check();
  await page.getByRole("button", { name: "Add back end" }).click();
  const id = await page.locator("#issued-id").innerText();
  const secret = await page.locator("#issued-secret").innerText();
  assert.equal((await introspect(stage, id, secret)).status, 200);
  await look(page, "services-issued");
  await page.goto(stage.path("/service-clients"));
  assert(!(await page.content()).includes(secret), "the secret is shown again");
  await look(page, "services");
  stage.left.service = { id, secret };
  // Dialogs have fields with the focus too; they are closed.
  await page.getByRole("textbox", { name: "Name" }).fill(NAME);
  await page.getByRole("checkbox", { name: "Our Cats", exact: true }).check();
  await page.getByRole("button", { name: "Add back end" }).click();
  await page.getByText("has that name").waitFor();
  assert((await focused(page)).name.startsWith("Name"), "the field to mend does not have the focus");
});

test("a back end's stores, secret and end are questions first", async (stage) => {
  const page = await stage.seat("admin");
  const { id, secret } = stage.left.service;
  await page.goto(stage.path("/service-clients"));
  const one = row(page, NAME);
  const dialog = page.getByRole("dialog");
  await tabTo(page, "Choose stores", 40);
  await page.keyboard.press("Enter");
  await dialog.waitFor();
  await look(page, "services-stores");
  await dialog.getByRole("checkbox", { name: "Our Cats (PDF)" }).check();
  await dialog.getByRole("button", { name: "Save" }).click();
  await page.getByText("The choice holds").waitFor();

  await one.getByRole("button", { name: "New secret" }).click();
  await dialog.waitFor();
  await look(page, "services-new-secret");
  await dialog.getByRole("button", { name: "Make new secret" }).click();
  const renewed = await page.locator("#issued-secret").innerText();
  assert.equal((await introspect(stage, id, secret)).status, 401);
  assert.equal((await introspect(stage, id, renewed)).status, 200);

  await page.goto(stage.path("/service-clients"));
  await one.getByRole("button", { name: "Remove" }).click();
  await dialog.waitFor();
  await look(page, "services-remove");
  await dialog.getByRole("button", { name: "Remove back end" }).click();
  await one.waitFor({ state: "detached" });
  assert.equal((await introspect(stage, id, renewed)).status, 401);
});

test("with scripts off: a back end is made and removed", async (stage) => {
  const page = await stage.window({ javaScriptEnabled: false });
  await page.goto(`${stage.demo.origin}/sign-in`);
  await stage.signIn(page, "admin");
  await page.goto(stage.path("/service-clients"));
  await page.getByRole("textbox", { name: "Name" }).fill("Plain");
  await page.getByRole("checkbox", { name: "Our Cats", exact: true }).check();
  await page.getByRole("button", { name: "Add back end" }).click();
  await page.locator("#issued-secret").waitFor();
  const one = row(page, "Plain");
  await one.getByRole("button", { name: "Remove" }).click();
  await page.getByRole("button", { name: "Remove back end" }).click();
  await one.waitFor({ state: "detached" });
  await page.context().close();
});
