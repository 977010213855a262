// The Inspector's command line, in each of its eras.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";

import { test } from "../../common/runner.mjs";
import { QUESTION } from "../lib/demo.mjs";
import { ENVIRONMENT, Person, freePort, programOf } from "../lib/programs.mjs";

const INSPECTOR = programOf("@modelcontextprotocol/inspector", "inspector");

/** Call a method; its result, and the person who was asked. */
async function inspect({ url, transport, era }, port, ...parameters) {
  const person = new Person();
  const all = [
    ...["--cli", "--server-url", url, "--transport", transport, "--protocol-era", era],
    ...["--callback-url", `http://127.0.0.1:${port}/oauth/callback`, "--format", "json", "-q"],
    ...parameters,
  ];
  const environment = {
    ...ENVIRONMENT,
    MCP_STORAGE_DIR: `${process.env.SUITE_WORK}/inspector-${transport}-${era}`,
    MCP_INSPECTOR_SECRET_STORE: "file",
    MCP_AUTO_OPEN_ENABLED: "true", // it has no terminal to ask at
  };
  const program = spawn(process.execPath, [INSPECTOR, ...all], {
    env: environment,
    stdio: ["ignore", "pipe", "pipe"],
  });
  person.watch(program.stderr);
  let output = "";
  program.stdout.setEncoding("utf8").on("data", (part) => (output += part));
  const status = await new Promise((resolve) => program.on("close", resolve));
  assert.equal(status, 0, `${parameters.join(" ")}: ${person.printed.slice(-1500)}`);
  return { result: JSON.parse(output).result, person };
}

const call = (name, parameters) => [
  ...["--method", "tools/call", "--tool-name", name],
  ...["--tool-args-json", JSON.stringify(parameters)],
];

async function mainJob(target) {
  const port = await freePort();
  // It finds nothing to object to in our schemas.
  const list = await inspect(target, port, "--method", "tools/list", "--strict");
  assert.deepEqual(list.result.tools.map((tool) => tool.name).sort(), ["fetch", "search"]);
  assert.equal(list.person.asked, 1, `the person was asked ${list.person.asked} times`);
  const again = async (name, parameters) => {
    const { result, person } = await inspect(target, port, "--use-stored-auth", ...call(name, parameters));
    assert.equal(person.asked, 0, "the person was asked again");
    return result.structuredContent;
  };
  const { results } = await again("search", { query: QUESTION });
  assert.ok(results.length > 0, "the search found nothing");
  const read = await again("fetch", { id: results[0].id });
  assert.equal(read.title, results[0].title);
}

for (const era of ["legacy", "auto", "modern"]) {
  test(`the Inspector lists, searches and fetches, ${era}`, ({ mcpUrl }) =>
    mainJob({ url: mcpUrl, transport: "http", era }));
}

test("the Inspector does so over HTTP with SSE", ({ sseUrl }) =>
  mainJob({ url: sseUrl, transport: "sse", era: "legacy" }));
