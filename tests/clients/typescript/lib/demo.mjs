// The demonstration that is running, and a person who signs in there and consents.
import { execFile, execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";

const told = JSON.parse(readFileSync(`${process.env.CALLSLIP_DATA_DIR}/demo.json`, "utf8"));

export const QUESTION = "Are cats attached to their homes?";
/** Nobody listens: the code is read off the redirect. */
export const REDIRECT_URI = "http://127.0.0.1:9/callback";

export const demo = {
  origin: told.origin,
  mcpUrl: told.mcp_url,
  sseUrl: told.sse_url,
  tenant: told.tenant,
};

/** Where the browser is sent after the person has decided. */
export async function decide(url, decision = "approve") {
  const { stdout } = await promisify(execFile)("python3", [process.env.SUITE_PERSON, String(url), decision]);
  return new URL(stdout.trim());
}

/** Run a command on the installation; its output. */
export function callslip(...parameters) {
  return execFileSync(process.env.SUITE_BIN, parameters, { encoding: "utf8" });
}
