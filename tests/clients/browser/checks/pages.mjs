// Every page that a member, an admin and the operator can open.

import assert from "node:assert/strict";

import { look } from "../lib/look.mjs";
import { test } from "../../common/runner.mjs";

// Open a page of the tenant through its navigation, and take its picture.
async function visit(stage, page, link, name) {
  await page.getByRole("navigation").getByRole("link", { name: link, exact: true }).click();
  await page.locator(`nav [aria-current=page]`, { hasText: link }).waitFor();
  await look(page, name);
  return page.getByRole("main").innerText();
}

test("the overview gives the URL to copy and the steps for each assistant", async (stage) => {
  const page = await stage.seat("admin");
  await page.goto(stage.path());
  assert.equal((await page.locator("#connect-url").innerText()).trim(), stage.demo.mcp_url);
  const text = await page.getByRole("main").innerText();
  for (const assistant of ["ChatGPT", "Claude", "Cursor", "VS Code"]) assert(text.includes(assistant), `no steps for ${assistant}`);
  await look(page, "overview");
});

test("the copy button copies", async (stage) => {
  const page = await stage.seat("admin");
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"], { origin: stage.demo.origin });
  await page.goto(stage.path());
  await page.getByRole("button", { name: /Copy.*URL/ }).click();
  await page.getByText("Copied").waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), stage.demo.mcp_url);
});

test("documents are listed", async (stage) => {
  const page = await stage.seat("admin");
  await visit(stage, page, "Documents", "documents");
  assert(await page.getByRole("row").count() > 5, "the demonstration's documents are not listed");
});

test("vector stores are listed, with the forms that add one", async (stage) => {
  const page = await stage.seat("admin");
  await visit(stage, page, "Vector stores", "vector-stores");
  const text = await page.getByRole("main").innerText();
  assert(/builtin/i.test(text) && /OpenAI/.test(text), "a backend is missing");
});

test("connected apps are listed", async (stage) => {
  const page = await stage.seat("admin");
  const text = await visit(stage, page, "Connected apps", "apps");
  assert(text.includes("Browser suite"), "the connected app is not listed");
  assert(text.includes(stage.user("reader").email), "whose app it is does not show");
});

test("activity shows the search, and not its words", async (stage) => {
  const page = await stage.seat("admin");
  const text = await visit(stage, page, "Activity", "activity");
  assert(text.includes("Browser suite"), "the app's call is not listed");
  assert(/search/i.test(text), "the search is not listed");
  assert(!text.includes("attached to their homes"), "the question was kept");
});

test("usage shows the calls, and the limits that an admin may lower", async (stage) => {
  const page = await stage.seat("admin");
  const text = await visit(stage, page, "Usage", "usage");
  assert(/search/i.test(text), "the search is not counted");
});

test("the connection can be named", async (stage) => {
  const page = await stage.seat("admin");
  await page.goto(stage.path("/settings/connection"));
  await page.getByLabel("Name of the connection").waitFor();
  await look(page, "connection");
});

test("members are listed", async (stage) => {
  const page = await stage.seat("admin");
  const text = await visit(stage, page, "Members", "members");
  for (const { email } of stage.demo.users) assert(text.includes(email), `${email} is not listed`);
});

test("the account page lists one's own apps", async (stage) => {
  const page = stage.left.reader;
  await page.goto(`${stage.demo.origin}/account`);
  await page.getByText("Browser suite").first().waitFor();
  await look(page, "account");
});

test("a reader is shown what a reader may do", async (stage) => {
  const page = stage.left.reader;
  await page.goto(stage.path());
  const links = await page.getByRole("navigation").getByRole("link").allInnerTexts();
  assert.deepEqual(links.map((text) => text.trim()), ["Connect", "Documents", "Connected apps"]);
  await page.goto(stage.path("/documents"));
  assert.equal(await page.locator("input[type=file]").count(), 0, "a reader is offered to upload");
  await look(page, "documents-reader");
  for (const path of ["/members", "/activity", "/vector-stores"]) {
    const answer = await page.goto(stage.path(path));
    assert([403, 404].includes(answer.status()), `${path} answered ${answer.status()} to a reader`);
  }
});

test("the operator sees the installation", async (stage) => {
  const page = await stage.seat("operator");
  await page.goto(`${stage.demo.origin}/operator`);
  const text = await page.getByRole("main").innerText();
  assert(text.includes(stage.demo.tenant), "the tenant is not listed");
  await look(page, "operator");
  await page.getByRole("link", { name: /limits/i }).first().click();
  await page.waitForURL((url) => url.pathname.endsWith("/limits"));
  await look(page, "operator-limits");
});

test("what is not there says so in the product's clothes", async (stage) => {
  const page = await stage.seat("admin");
  for (const [path, name] of [[stage.path("/nothing"), "missing-page"], [`${stage.demo.origin}/d/019a0000-0000-7000-8000-000000000000`, "missing-document"]]) {
    const answer = await page.goto(path);
    assert.equal(answer.status(), 404);
    await page.getByRole("heading", { level: 1 }).waitFor();
    await look(page, name);
  }
});
