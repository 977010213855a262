// The official SDK: from the bare URL to an answer, and on with a refreshed token.
import assert from "node:assert/strict";

import * as modern from "@modelcontextprotocol/client";

import { test } from "../../common/runner.mjs";
import { Provider } from "../lib/provider.mjs";
import { V1, V1_SSE, V2, connect, listSearchFetch, search } from "../lib/sdk.mjs";

async function mainJob(sdk, url, provider, options) {
  const client = await connect(sdk, url, provider, options);
  await listSearchFetch(client);
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

test("SDK v1 does so over HTTP with SSE", ({ sseUrl }) =>
  mainJob(V1_SSE, sseUrl, new Provider("TypeScript SDK v1, SSE")));

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
