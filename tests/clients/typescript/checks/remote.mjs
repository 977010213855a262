// mcp-remote: a local server to programs that know no other, and a client of ours.
import assert from "node:assert/strict";

import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";

import { test } from "../../common/runner.mjs";
import { ENVIRONMENT, Person, programOf } from "../lib/programs.mjs";
import { V1, listSearchFetch } from "../lib/sdk.mjs";

/** The whole job behind mcp-remote, with more options of its own. */
async function behind(name, url, options) {
  const person = new Person();
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [programOf("mcp-remote", "mcp-remote"), url, "--host", "127.0.0.1", ...options],
    env: { ...ENVIRONMENT, MCP_REMOTE_CONFIG_DIR: `${process.env.SUITE_WORK}/${name}` },
    stderr: "pipe",
  });
  person.watch(transport.stderr);
  const client = new V1.Client({ name, version: "1" });
  try {
    await client.connect(transport);
    await listSearchFetch(client);
  } catch (error) {
    error.message += `\n${person.printed.slice(-1500)}`;
    throw error;
  } finally {
    await client.close();
  }
  assert.equal(person.asked, 1, `the person was asked ${person.asked} times`);
}

test("mcp-remote lists, searches and fetches", ({ mcpUrl }) =>
  behind("mcp-remote", mcpUrl, ["--transport", "http-only"]));

test("mcp-remote does so over whichever protocol is newest", ({ mcpUrl }) =>
  behind("mcp-remote-auto", mcpUrl, ["--transport", "http-only", "--protocol", "auto"]));

test("mcp-remote does so over HTTP with SSE", ({ sseUrl }) =>
  behind("mcp-remote-sse", sseUrl, ["--transport", "sse-only"]));
