// An OAuth client with a loopback callback, as an assistant's desktop program has one. After the
// callback it sends the browser on twice more, as hosted assistants do.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";

const secret = () => randomBytes(32).toString("base64url");

export class Client {
  /** One that a document describes, at the address that is its id. Nobody answers at its callback. */
  static async published(demo, id, redirectUri) {
    const client = new Client();
    client.resource = demo.mcp_url;
    client.metadata = await (await fetch(`${demo.origin}/.well-known/oauth-authorization-server`)).json();
    return Object.assign(client, { id, redirectUri });
  }

  /** Register at the authorization server that the resource names. */
  static async register(demo, name, { redirectUri } = {}) {
    const client = new Client();
    client.resource = demo.mcp_url;
    client.server = createServer((request, response) => client.#answer(request, response));
    client.server.listen(0, "127.0.0.1");
    await once(client.server, "listening");
    client.server.unref();
    client.port = client.server.address().port;
    client.redirectUri = `http://127.0.0.1:${client.port}/callback`;
    client.last = `http://127.0.0.1:${client.port}/done`;

    const refused = await fetch(demo.mcp_url, { method: "POST", body: "{}", headers: { "content-type": "application/json" } });
    assert.equal(refused.status, 401);
    const [, where] = refused.headers.get("www-authenticate").match(/resource_metadata="([^"]+)"/);
    const [issuer] = (await (await fetch(where)).json()).authorization_servers;
    client.metadata = await (await fetch(`${issuer}/.well-known/oauth-authorization-server`)).json();
    const registered = await fetch(client.metadata.registration_endpoint, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        client_name: name,
        redirect_uris: [redirectUri ?? client.redirectUri],
        grant_types: ["authorization_code", "refresh_token"],
        response_types: ["code"],
        token_endpoint_auth_method: "none",
      }),
    });
    assert.equal(registered.status, 201);
    client.id = (await registered.json()).client_id;
    return client;
  }

  /** Where the browser is sent; `changes` take the place of what is usual. */
  authorizationUrl(changes = {}) {
    this.state = secret();
    this.verifier = secret();
    this.back = undefined;
    const challenge = createHash("sha256").update(this.verifier).digest("base64url");
    const parameters = new URLSearchParams({
      response_type: "code",
      client_id: this.id,
      redirect_uri: this.redirectUri,
      code_challenge: challenge,
      code_challenge_method: "S256",
      state: this.state,
      scope: "search:read",
      resource: this.resource,
      ...changes,
    });
    return `${this.metadata.authorization_endpoint}?${parameters}`;
  }

  /** Let it in without looking, as whoever is signed in at this window. */
  async connect(page) {
    const { request } = page.context();
    const shown = await request.get(this.authorizationUrl());
    const html = await shown.text();
    const value = (name) => html.match(new RegExp(`name="${name}" value="([^"]*)"`))[1];
    const form = new URLSearchParams({ decision: "approve" });
    for (const name of ["csrf_token", "request_id", "tenant"]) form.set(name, value(name));
    for (const [, store] of html.matchAll(/name="store" value="([^"]*)"/g)) form.append("store", store);
    const answer = await request.post(shown.url(), {
      data: form.toString(),
      headers: { "content-type": "application/x-www-form-urlencoded", origin: new URL(shown.url()).origin },
      maxRedirects: 0,
    });
    assert.equal(answer.status(), 303, `not connected: ${answer.status()}`);
    this.back = Object.fromEntries(new URL(answer.headers().location).searchParams);
    await this.redeem();
  }

  // The callback, a hop to another origin, and the page at the end.
  #answer(request, response) {
    const url = new URL(request.url, this.redirectUri);
    const on = (location) => response.writeHead(302, { location }).end();
    if (url.pathname === "/callback") {
      this.back = Object.fromEntries(url.searchParams);
      on(`http://localhost:${this.port}/hop`);
    } else if (url.pathname === "/hop") {
      on(this.last);
    } else if (url.pathname === "/done") {
      response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><title>Done</title><p>Connected");
    } else {
      response.writeHead(404).end();
    }
  }

  /** Spend the code that the browser has brought. */
  async redeem() {
    assert.equal(this.back?.state, this.state, `came back with ${JSON.stringify(this.back)}`);
    assert.equal(this.back.iss, this.metadata.issuer);
    const answer = await fetch(this.metadata.token_endpoint, {
      method: "POST",
      body: new URLSearchParams({
        grant_type: "authorization_code",
        code: this.back.code,
        redirect_uri: this.redirectUri,
        client_id: this.id,
        code_verifier: this.verifier,
        resource: this.resource,
      }),
    });
    assert.equal(answer.status, 200, "the code was not accepted");
    this.token = (await answer.json()).access_token;
  }

  async call(name, args) {
    return fetch(this.resource, {
      method: "POST",
      headers: {
        authorization: `Bearer ${this.token}`,
        "content-type": "application/json",
        accept: "application/json, text/event-stream",
        "mcp-protocol-version": "2025-11-25",
      },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name, arguments: args } }),
    });
  }

  async search(query) {
    const answer = await this.call("search", { query });
    assert.equal(answer.status, 200);
    return (await answer.json()).result.structuredContent.results;
  }
}
