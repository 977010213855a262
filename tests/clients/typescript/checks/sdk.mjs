// The official SDK: from the bare URL to an answer, and on with a refreshed token.
import assert from "node:assert/strict";

import * as modern from "@modelcontextprotocol/client";
import { UnauthorizedError as LegacyUnauthorizedError } from "@modelcontextprotocol/sdk/client/auth.js";
import { Client as LegacyClient } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as LegacyTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

import { test } from "../../common/runner.mjs";
import { QUESTION } from "../lib/demo.mjs";
import { Provider } from "../lib/provider.mjs";

const V1 = {
  Client: LegacyClient,
  Transport: LegacyTransport,
  UnauthorizedError: LegacyUnauthorizedError,
  back: (url) => url.searchParams.get("code"),
};
const V2 = {
  Client: modern.Client,
  Transport: modern.StreamableHTTPClientTransport,
  UnauthorizedError: modern.UnauthorizedError,
  // With state and issuer, which this version checks.
  back: (url) => url.searchParams,
};

/** Connect; where the SDK opens a browser, a person consents. */
async function connect(sdk, url, provider, options = {}) {
  const open = () => ({
    client: new sdk.Client({ name: provider.name, version: "1" }, options),
    transport: new sdk.Transport(new URL(url), { authProvider: provider }),
  });
  const first = open();
  try {
    await first.client.connect(first.transport);
    return first.client;
  } catch (error) {
    if (!(error instanceof sdk.UnauthorizedError)) throw error;
  }
  await first.transport.finishAuth(sdk.back(provider.back));
  const second = open();
  await second.client.connect(second.transport);
  return second.client;
}

async function search(client) {
  const answer = await client.callTool({ name: "search", arguments: { query: QUESTION } });
  assert.ok(!answer.isError, JSON.stringify(answer));
  assert.deepEqual(JSON.parse(answer.content[0].text), answer.structuredContent);
  return answer.structuredContent.results;
}

async function mainJob(sdk, url, provider, options) {
  const client = await connect(sdk, url, provider, options);
  const { tools } = await client.listTools();
  assert.deepEqual(tools.map((tool) => tool.name).sort(), ["fetch", "search"]);
  const hits = await search(client);
  assert.ok(hits.length > 0, "the search found nothing");
  const read = await client.callTool({ name: "fetch", arguments: { id: hits[0].id } });
  assert.equal(read.structuredContent.title, hits[0].title);
  assert.equal(provider.asked, 1, "the person was asked more than once");

  // The access token is lost or over; the refresh token is not.
  const before = provider.tokens();
  provider.saveTokens({ ...before, access_token: `${before.access_token}x` });
  assert.ok((await search(client)).length > 0);
  assert.notEqual(provider.tokens().access_token, before.access_token);
  assert.notEqual(provider.tokens().refresh_token, before.refresh_token);
  assert.equal(provider.asked, 1, "the person was asked again");
  await client.close();
}

test("SDK v1 connects, searches, fetches and refreshes", ({ mcpUrl }) =>
  mainJob(V1, mcpUrl, new Provider("TypeScript SDK v1")));

test("SDK v2 does so over the legacy protocol", ({ mcpUrl }) =>
  mainJob(V2, mcpUrl, new Provider("TypeScript SDK v2")));

test("SDK v2 does so over the modern protocol", ({ mcpUrl }) =>
  mainJob(V2, mcpUrl, new Provider("TypeScript SDK v2, modern"), {
    versionNegotiation: { mode: { pin: "2026-07-28" } },
  }));

test("SDK v2 does so where the person picks the tenant", ({ origin }) =>
  mainJob(V2, `${origin}/mcp`, new Provider("TypeScript SDK v2, any tenant")));

// [P-04] A token that is bound to a key, through somebody else's DPoP.
test("SDK v2 does so with a bound token", async ({ mcpUrl }) => {
  const provider = new Provider("TypeScript SDK v2, DPoP");
  const session = await modern.DpopSession.create();
  provider.dpop = () => session;
  await mainJob(V2, mcpUrl, provider);
  assert.equal(provider.tokens().token_type, "DPoP");
  const claims = JSON.parse(atob(provider.tokens().access_token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/")));
  assert.equal(claims.cnf.jkt, session.thumbprint);
});

test("a refused consent ends the connection", async ({ mcpUrl }) => {
  const provider = new Provider("TypeScript SDK v2, denied");
  provider.decision = "deny";
  await assert.rejects(connect(V2, mcpUrl, provider), (error) => /denied/.test(String(error)));
  assert.equal(provider.tokens(), undefined);
});
