// Everything, in this order: later checks find what earlier ones have left. See `run`.
import { runAll } from "../common/runner.mjs";
import { stage } from "./lib/stage.mjs";
import "./checks/connect.mjs";
import "./checks/consent.mjs";
import "./checks/calls.mjs";
import "./checks/pages.mjs";
import "./checks/work.mjs";
import "./checks/keyboard.mjs";
import "./checks/plain.mjs";
import "./checks/services.mjs";
import "./checks/rules.mjs";
import "./checks/many.mjs";
import "./checks/knowledge.mjs";
import "./checks/installation.mjs";
import "./checks/leave.mjs";

process.exit(await runAll(stage));
