// The authorization scenarios of MCP's conformance suite, with a person at the browser.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync } from "node:fs";
import { createServer } from "node:net";
import { createRequire } from "node:module";

import { test } from "../../common/runner.mjs";
import { decide } from "../lib/demo.mjs";

const require = createRequire(import.meta.url);
const SUITE = require.resolve("@modelcontextprotocol/conformance/package.json").replace("package.json", "dist/index.js");

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

const SCENARIOS = ["authorization-server-metadata-endpoint", "authorization-code-grant"];

/** Run the scenarios; the authorization URL that they print is opened by a person. */
async function conform(origin, resource) {
  const port = await freePort();
  const results = mkdtempSync(`${process.env.SUITE_WORK}/conformance-`);
  const registration = await fetch(`${origin}/oauth/register`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({
      client_name: "Conformance",
      redirect_uris: [`http://127.0.0.1:${port}/callback`],
      token_endpoint_auth_method: "none",
    }),
  });
  assert.equal(registration.status, 201);
  const client = await registration.json();
  const parameters = [
    ...["authorization", "--url", origin, "--resource", resource],
    ...["--client-id", client.client_id, "-p", String(port)],
    ...["--output-dir", results],
  ];
  const suite = spawn(process.execPath, [SUITE, ...parameters], { stdio: ["ignore", "pipe", "pipe"] });
  let printed = "";
  let visited = false;
  const listen = async (part) => {
    printed += part;
    const url = printed.match(/https?:\/\/\S*\/oauth\/authorize\?[^\s"']+(?=[\s"'])/);
    if (!url || visited) return;
    visited = true;
    const back = await decide(url[0]);
    await fetch(back);
  };
  suite.stdout.on("data", listen);
  suite.stderr.on("data", listen);
  const status = await new Promise((resolve) => suite.on("close", resolve));
  assert.equal(status, 0, printed.slice(-1500));
  for (const scenario of SCENARIOS) {
    const file = readdirSync(results, { recursive: true, encoding: "utf8" }).find(
      (name) => name.includes(scenario) && name.endsWith("checks.json"),
    );
    assert.ok(file, `${scenario} left no result: ${printed}`);
    const checks = JSON.parse(readFileSync(`${results}/${file}`, "utf8"));
    assert.ok(checks.length > 0, scenario);
    for (const check of checks) assert.equal(check.status, "SUCCESS", JSON.stringify(check));
  }
}

test("both authorization scenarios of the conformance suite", ({ origin, mcpUrl }) => conform(origin, mcpUrl));
