// How the conformance suite is run, and its results.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const require = createRequire(import.meta.url);
const SUITE = require
  .resolve("@modelcontextprotocol/conformance/package.json")
  .replace("package.json", "dist/index.js");

/**
 * Run it with these parameters. Resolves to its exit status, what it printed, and the checks of each scenario.
 *
 * `listen` is called with all that has been printed, whenever there is more of it.
 */
export async function conformance(parameters, listen = () => {}) {
  const results = mkdtempSync(`${process.env.SUITE_WORK}/conformance-`);
  const all = [SUITE, ...parameters, "--output-dir", results];
  const suite = spawn(process.execPath, all, { stdio: ["ignore", "pipe", "pipe"] });
  let printed = "";
  for (const stream of [suite.stdout, suite.stderr]) {
    stream.on("data", (part) => listen((printed += part)));
  }
  const status = await new Promise((resolve) => suite.on("close", resolve));
  return { status, printed, scenarios: scenarios(results) };
}

/** The checks of each scenario: it leaves them in a folder that ends in the time of the run. */
function scenarios(results) {
  const files = readdirSync(results, { recursive: true, encoding: "utf8" });
  const found = files.filter((name) => name.endsWith("checks.json")).map((name) => {
    const scenario = dirname(name).replace(/^(authorization-server|server)-/, "").replace(/-\d{4}-\d\d-\d\dT.*$/, "");
    return [scenario, JSON.parse(readFileSync(join(results, name), "utf8"))];
  });
  return new Map(found);
}
