// What an admin does on the pages.

import assert from "node:assert/strict";

import { look } from "../lib/look.mjs";
import { test } from "../../common/runner.mjs";

const CANARY = "The lamplighter of Ambleside keeps nine ginger kittens in the boathouse.";

test("an upload shows its progress, is found at once, and is deleted after a question", async (stage) => {
  const page = await stage.seat("admin");
  await page.goto(stage.path("/documents"));
  const text = `# Lamplighter\n\n${CANARY}\n\n${"He said that all was well with them. ".repeat(12_000)}`;
  await page.getByLabel("Files").setInputFiles({ name: "lamplighter.md", mimeType: "text/markdown", buffer: Buffer.from(text) });
  const network = await page.context().newCDPSession(page);
  await network.send("Network.enable");
  const slow = { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: 150_000 };
  await network.send("Network.emulateNetworkConditions", slow);
  await page.getByRole("button", { name: "Add", exact: true }).click();
  const progress = page.getByRole("progressbar", { name: "Sending lamplighter.md" });
  await progress.waitFor();
  const seen = new Set();
  for (let look = 0; look < 200 && seen.size < 3; look += 1) {
    const value = await progress.evaluate((bar) => bar.value, undefined, { timeout: 2000 }).catch(() => undefined);
    if (value > 0 && value < 1) seen.add(value);
  }
  assert(seen.size >= 2, `the bar did not move: ${[...seen]}`);
  await network.send("Network.emulateNetworkConditions", { ...slow, uploadThroughput: -1 });
  await network.detach();
  await page.waitForURL(/notice=/, { timeout: 30_000 });
  const row = page.getByRole("region", { name: "Documents in the list" }).getByRole("row", { name: /lamplighter/i });
  await row.waitFor({ timeout: 60_000 }); // the page looks again by itself while the file is read
  await look(page, "documents-uploaded");

  const hits = await stage.left.client.search("Where does the lamplighter keep his ginger kittens?");
  assert(JSON.stringify(hits).includes("amplighter"), "the upload is not found");
  await row.getByRole("link").first().click();
  await page.getByText("nine ginger kittens").waitFor();
  await page.goBack();

  await row.getByRole("button", { name: "Delete", exact: true }).click();
  const dialog = page.getByRole("dialog");
  await dialog.waitFor();
  await look(page, "documents-delete");
  await dialog.getByRole("button", { name: "Keep" }).click();
  await dialog.waitFor({ state: "hidden" });
  await row.getByRole("button", { name: "Delete", exact: true }).click();
  await dialog.getByRole("button", { name: "Delete document" }).click();
  await row.waitFor({ state: "detached" });
  const after = await stage.left.client.search("Where does the lamplighter keep his ginger kittens?");
  assert(!JSON.stringify(after).includes("amplighter"), "found after it was deleted");
});

test("a file of a kind that cannot be read is refused with a reason", async (stage) => {
  const page = await stage.seat("admin");
  await page.goto(stage.path("/documents"));
  await page.getByLabel("Files").setInputFiles({ name: "picture.pdf", mimeType: "application/pdf", buffer: Buffer.from("GIF89a, not a PDF") });
  await page.getByRole("button", { name: "Add", exact: true }).click();
  const reason = page.locator("[data-upload-list] li", { hasText: "picture.pdf" });
  await reason.getByText("Not added").waitFor();
  assert((await reason.innerText()).split("Not added")[1].trim().length > 10, "no reason is given");
  await look(page, "documents-refused");
});

test("an upload after the session has ended is not called received", async (stage) => {
  const page = await stage.window();
  await page.goto(`${stage.demo.origin}/sign-in`);
  await stage.signIn(page, "admin");
  await page.goto(stage.path("/documents"));
  await page.context().clearCookies();
  await page.getByLabel("Files").setInputFiles({ name: "late.txt", mimeType: "text/plain", buffer: Buffer.from("Too late.") });
  await page.getByRole("button", { name: "Add", exact: true }).click();
  const row = page.locator("[data-upload-list] li", { hasText: "late.txt" });
  await row.getByText("Not added").waitFor();
  await row.getByText("You are signed out").waitFor();
  await page.context().close();
});

test("a builtin vector store is added and removed", async (stage) => {
  const page = await stage.seat("admin");
  await page.goto(stage.path("/vector-stores"));
  const name = page.locator("#builtin-name");
  if (!(await name.isVisible())) await page.locator("summary", { hasText: "Builtin" }).click();
  await name.fill("Shelf of the suite");
  await page.getByRole("button", { name: "Add builtin store" }).click();
  const row = page.getByRole("row", { name: /Shelf of the suite/ });
  await row.waitFor();
  await row.getByRole("button", { name: "Remove", exact: true }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Remove store" }).click();
  await row.waitFor({ state: "detached" });
});

test("an OpenAI vector store that does not answer is not saved, and says why", async (stage) => {
  const page = await stage.seat("admin");
  await page.goto(stage.path("/vector-stores"));
  const id = page.locator("#external_id");
  if (!(await id.isVisible())) await page.locator("summary", { hasText: "OpenAI" }).click();
  await page.locator("#openai-name").fill("Far away");
  await id.fill("vs_suite");
  await page.locator("#api_key").fill("sk-suite-canary-key");
  await page.locator("#base_url").fill("http://169.254.169.254/v1");
  await page.getByRole("button", { name: "Check and add" }).click();
  await page.locator(".field-error, [role=alert]").first().waitFor();
  assert(!(await page.content()).includes("sk-suite-canary-key"), "the key is in the page");
  assert.equal(await page.getByRole("row", { name: /Far away/ }).count(), 0, "it was saved");
  await look(page, "vector-stores-refused");
});

// [C-08] Revoked on the page, refused at the very next call.
test("revoking an app ends it with its next call", async (stage) => {
  const page = await stage.seat("admin");
  const { client } = stage.left;
  assert.equal((await client.call("search", { query: "cats" })).status, 200);
  await page.goto(stage.path("/apps"));
  await page.getByRole("link", { name: /Details.*Browser suite/ }).click();
  const row = page.getByRole("row", { name: stage.user("reader").email });
  await row.getByRole("button", { name: "Revoke", exact: true }).click();
  await page.getByRole("dialog").waitFor();
  await look(page, "apps-revoke");
  await page.getByRole("dialog").getByRole("button", { name: "Revoke access" }).click();
  await page.waitForURL((url) => url.pathname.endsWith("/apps"));
  assert.equal(await page.getByRole("row", { name: /Browser suite/ }).count(), 0);
  assert.equal((await client.call("search", { query: "cats" })).status, 401);
  await page.goto(stage.path("/apps"));
  await look(page, "apps-none");
});
