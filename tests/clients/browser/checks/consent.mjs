// The consent page and its kin, for every kind of app that may ask.

import assert from "node:assert/strict";

import { Client } from "../lib/client.mjs";
import { focused, look } from "../lib/look.mjs";
import { test } from "../../common/runner.mjs";

const main = (page) => page.getByRole("main").innerText();

// [C-02] The name counts where its host is known to be its own.
test("an app that is known is called verified", async (stage) => {
  const client = await Client.published(
    stage.demo, "https://claude.ai/oauth/mcp-oauth-client-metadata", "https://claude.ai/api/mcp/auth_callback");
  const page = stage.left.reader;
  await page.goto(client.authorizationUrl());
  await page.getByText("Verified", { exact: true }).waitFor();
  const text = await main(page);
  assert(text.includes("Claude") && text.includes("claude.ai"), text);
  await look(page, "consent-verified");
});

// [C-06] The name of a well-known app at somebody else's address.
test("a borrowed name gives way to the address", async (stage) => {
  const redirectUri = "https://sign-in.mirror.example/callback";
  const client = await Client.register(stage.demo, "ChatGPT", { redirectUri });
  const page = stage.left.reader;
  await page.goto(client.authorizationUrl({ redirect_uri: redirectUri }));
  await page.getByRole("heading", { level: 1 }).waitFor();
  const text = await main(page);
  assert(!text.includes("ChatGPT") && text.includes("sign-in.mirror.example"), text);
  await look(page, "consent-borrowed-name");
});

test("a name of mixed alphabets comes with a warning", async (stage) => {
  const redirectUri = "https://reader.example/callback";
  const client = await Client.register(stage.demo, "\u0410cme Reader", { redirectUri });
  const page = stage.left.reader;
  await page.goto(client.authorizationUrl({ redirect_uri: redirectUri }));
  await page.getByText("letters of several alphabets").waitFor();
  await look(page, "consent-mixed-name");
});

test("whoever is in two tenants picks one, and long names fit", async (stage) => {
  const name = "TheQuiteUnbrokenNameOfAnAssistantThatHasUsedUpAllItsSixtyLetters".slice(0, 60);
  const client = await Client.register(stage.demo, name);
  client.resource = `${stage.demo.origin}/mcp`;
  const page = await stage.seat("guest");
  await page.goto(client.authorizationUrl());
  await page.getByRole("radio", { name: "The Royal Society" }).waitFor();
  await look(page, "consent-two-tenants");
  for (const tick of await page.getByRole("checkbox").all()) await tick.uncheck();
  await page.getByRole("button", { name: "Allow" }).click();
  await page.getByRole("alert").waitFor();
  assert((await focused(page)).role === "alert", "the reason does not have the focus");
  await look(page, "consent-nothing-ticked");
});

test("whoever is not in the tenant is told, and may change the account", async (stage) => {
  stage.guest();
  const client = await Client.register(stage.demo, "Asks elsewhere");
  client.resource = `${stage.demo.origin}/t/society/mcp`;
  const page = stage.left.reader;
  await page.goto(client.authorizationUrl());
  await page.getByRole("button", { name: "Use another account" }).waitFor();
  await look(page, "not-a-member");
});
