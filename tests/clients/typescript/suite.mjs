// See `run`.
import { runAll } from "../common/runner.mjs";
import { demo } from "./lib/demo.mjs";
import "./checks/sdk.mjs";
import "./checks/strict.mjs";
import "./checks/remote.mjs";
import "./checks/inspector.mjs";

process.exit(await runAll(demo));
