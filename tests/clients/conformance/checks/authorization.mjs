// The authorization scenarios, with a person at the browser.
import assert from "node:assert/strict";

import { test } from "../../common/runner.mjs";
import { decide } from "../../typescript/lib/demo.mjs";
import { freePort } from "../../typescript/lib/programs.mjs";
import { conformance } from "../lib.mjs";

const SCENARIOS = ["authorization-server-metadata-endpoint", "authorization-code-grant"];

/** Run the scenarios; the authorization URL that they print is opened by a person. */
async function conform(origin, resource) {
  const port = await freePort();
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
  ];
  let visited = false;
  const { status, printed, scenarios } = await conformance(parameters, async (printed) => {
    const url = printed.match(/https?:\/\/\S*\/oauth\/authorize\?[^\s"']+(?=[\s"'])/);
    if (!url || visited) return;
    visited = true;
    await fetch(await decide(url[0]));
  });
  assert.equal(status, 0, printed.slice(-1500));
  for (const scenario of SCENARIOS) {
    const checks = scenarios.get(scenario);
    assert.ok(checks?.length > 0, `${scenario} left no result: ${printed}`);
    for (const check of checks) assert.equal(check.status, "SUCCESS", JSON.stringify(check));
  }
}

test("both authorization scenarios", ({ origin, mcpUrl }) => conform(origin, mcpUrl));
