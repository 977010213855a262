// The official SDK in both versions, behind one face.
import assert from "node:assert/strict";

import * as modern from "@modelcontextprotocol/client";
import { UnauthorizedError as LegacyUnauthorizedError } from "@modelcontextprotocol/sdk/client/auth.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { Client as LegacyClient } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as LegacyTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

import { QUESTION } from "./demo.mjs";

export const V1 = {
  Client: LegacyClient,
  Transport: LegacyTransport,
  UnauthorizedError: LegacyUnauthorizedError,
  back: (url) => url.searchParams.get("code"),
};
/** The first over the transport before Streamable HTTP. */
export const V1_SSE = { ...V1, Transport: SSEClientTransport };
export const V2 = {
  Client: modern.Client,
  Transport: modern.StreamableHTTPClientTransport,
  UnauthorizedError: modern.UnauthorizedError,
  // With state and issuer, which this version checks.
  back: (url) => url.searchParams,
};

/** Connect; where the SDK opens a browser, a person consents. */
export async function connect(sdk, url, provider, options = {}) {
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

/** What a search for the question finds. */
export async function search(client) {
  const answer = await client.callTool({ name: "search", arguments: { query: QUESTION } });
  assert.ok(!answer.isError, JSON.stringify(answer));
  assert.deepEqual(JSON.parse(answer.content[0].text), answer.structuredContent);
  return answer.structuredContent.results;
}

/** List, search, and fetch what was found. */
export async function listSearchFetch(client) {
  const { tools } = await client.listTools();
  assert.deepEqual(tools.map((tool) => tool.name).sort(), ["fetch", "search"]);
  const hits = await search(client);
  assert.ok(hits.length > 0, "the search found nothing");
  const read = await client.callTool({ name: "fetch", arguments: { id: hits[0].id } });
  assert.equal(read.structuredContent.title, hits[0].title);
  assert.ok(read.structuredContent.text.length > 0, "the document is empty");
}
