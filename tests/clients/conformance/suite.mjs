// See `run`.
import { runAll } from "../common/runner.mjs";
import { demo } from "../typescript/lib/demo.mjs";
import "./checks/server.mjs";
if (process.env.SUITE_BASELINE === "product") await import("./checks/authorization.mjs");

process.exit(await runAll(demo));
