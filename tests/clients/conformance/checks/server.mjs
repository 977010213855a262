// The scenarios for servers, through a proxy that carries the token which the suite cannot send.
import assert from "node:assert/strict";
import { createServer, request } from "node:http";

import { test } from "../../common/runner.mjs";
import { Provider } from "../../typescript/lib/provider.mjs";
import { V2, connect } from "../../typescript/lib/sdk.mjs";
import { conformance } from "../lib.mjs";

const BASELINE = process.env.SUITE_BASELINE;
/** How many scenarios the suite has for servers of a revision. */
const SCENARIOS = { "2026-07-28": 40, "2025-11-25": 33 };

/** Stands before the endpoint; another `Host` than its own goes through as it is. */
async function carrying(token, mcpUrl) {
  const upstream = new URL(mcpUrl);
  const proxy = createServer((incoming, outgoing) => {
    const own = `127.0.0.1:${proxy.address().port}`;
    const host = incoming.headers.host === own ? upstream.host : incoming.headers.host;
    const onward = request({
      host: upstream.hostname,
      port: upstream.port,
      path: incoming.url,
      method: incoming.method,
      headers: { ...incoming.headers, host, authorization: `Bearer ${token}` },
    });
    onward.on("response", (answer) => {
      outgoing.writeHead(answer.statusCode, answer.rawHeaders);
      answer.pipe(outgoing);
    });
    onward.on("error", () => outgoing.destroy());
    outgoing.on("close", () => onward.destroy());
    incoming.pipe(onward);
  });
  await new Promise((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${proxy.address().port}${upstream.pathname}`, close: () => proxy.close() };
}

async function conform(mcpUrl, version) {
  const provider = new Provider(`Conformance, ${version}`);
  await (await connect(V2, mcpUrl, provider)).close();
  const proxy = await carrying(provider.tokens().access_token, mcpUrl);
  const baseline = new URL(`../${BASELINE}.yml`, import.meta.url).pathname;
  const { status, printed, scenarios } = await conformance([
    ...["server", "--url", proxy.url, "--suite", "all", "--spec-version", version],
    ...["--expected-failures", baseline],
  ]);
  proxy.close();
  // As the suite counts: what is merely recommended fails too.
  const isBad = ({ status }) => status === "FAILURE" || status === "WARNING";
  const bad = [...scenarios].flatMap(([name, checks]) => checks.filter(isBad).map((check) => [name, check]));
  const told = bad.map(([name, { id, errorMessage }]) => `${name}:${id} ${errorMessage}`).join("\n");
  assert.equal(status, 0, `another list than ${BASELINE}.yml:\n${told}\n${printed.slice(-1500)}`);
  assert.equal(scenarios.size, SCENARIOS[version], `${scenarios.size} scenarios were run`);
  const failed = new Set(bad.map(([name]) => name)).size;
  console.log(`        ${version}: ${scenarios.size - failed} scenarios passed, ${failed} failed as expected`);
}

for (const version of Object.keys(SCENARIOS)) {
  // [H-13] What fails needs a feature that we do not have: each is listed with it.
  test(`${BASELINE}: the scenarios for servers, ${version}`, ({ mcpUrl }) => conform(mcpUrl, version));
}
