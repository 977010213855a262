// A client that is a page of its own, at another origin: what its script may send and read.

import assert from "node:assert/strict";

import { test } from "../../common/runner.mjs";
import { Client } from "../lib/client.mjs";

const QUESTION = "Are cats attached to their homes?";
const MODERN = "2026-07-28";

/** In the page: what comes of a request, with the headers that a client looks for. */
async function ask({ url, credentials = "same-origin", ...request }) {
  const names = ["www-authenticate", "retry-after", "ratelimit", "ratelimit-policy", "x-request-id", "content-type"];
  try {
    const answer = await fetch(url, { credentials, ...request });
    const headers = Object.fromEntries(names.map((name) => [name, answer.headers.get(name)]));
    return { status: answer.status, headers, text: await answer.text() };
  } catch (error) {
    return { failed: error.name };
  }
}

const modern = (token, params) => ({
  method: "POST",
  headers: {
    authorization: `Bearer ${token}`,
    "content-type": "application/json",
    accept: "application/json, text/event-stream",
    "mcp-protocol-version": MODERN,
    "mcp-method": "tools/call",
    "mcp-name": params.name,
  },
  body: JSON.stringify({
    jsonrpc: "2.0",
    id: 1,
    method: "tools/call",
    params: {
      ...params,
      _meta: {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
      },
    },
  }),
});

// [H-14] Challenges, limits and request ids can be read, custom headers sent; never with cookies.
test("a page of another origin connects, searches and fetches", async (stage) => {
  const client = await Client.register(stage.demo, "A page elsewhere");
  await client.connect(await stage.seat("reader"));
  const page = await stage.window();
  await page.goto(client.last);
  assert.notEqual(new URL(page.url()).origin, stage.demo.origin);
  const url = stage.demo.mcp_url;

  const refused = await page.evaluate(ask, { url, method: "POST", headers: { "content-type": "application/json" }, body: "{}" });
  assert.equal(refused.status, 401);
  const [, where] = refused.headers["www-authenticate"].match(/resource_metadata="([^"]+)"/);
  const resource = JSON.parse((await page.evaluate(ask, { url: where })).text);
  const [issuer] = resource.authorization_servers;
  const metadata = await page.evaluate(ask, { url: `${issuer}/.well-known/oauth-authorization-server` });
  assert.equal(JSON.parse(metadata.text).issuer, issuer);
  const card = await page.evaluate(ask, { url: `${url}/server-card`, headers: { accept: "application/mcp-server-card+json" } });
  assert.equal(card.headers["content-type"], "application/mcp-server-card+json");
  assert.equal(JSON.parse(card.text).remotes[0].url, url);

  const call = async (name, args) => {
    const answer = await page.evaluate(ask, { url, ...modern(client.token, { name, arguments: args }) });
    assert.equal(answer.status, 200, JSON.stringify(answer));
    assert.ok(answer.headers["x-request-id"], "the id of the request cannot be read");
    return JSON.parse(answer.text).result.structuredContent;
  };
  const { results } = await call("search", { query: QUESTION });
  assert.ok(results.length > 0, "the search found nothing");
  assert.equal((await call("fetch", { id: results[0].id })).title, results[0].title);

  const stream = { url, headers: { authorization: `Bearer ${client.token}`, accept: "text/event-stream" } };
  assert.equal((await page.evaluate(ask, stream)).status, 405, "the SDK's question after a stream");
  const search = modern(client.token, { name: "search", arguments: { query: QUESTION } });
  const withCookies = await page.evaluate(ask, { url, ...search, credentials: "include" });
  assert.equal(withCookies.failed, "TypeError", JSON.stringify(withCookies));
});
