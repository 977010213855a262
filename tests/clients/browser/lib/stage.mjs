// The demonstration, a browser, and the people at it.

import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { promisify } from "node:util";

export const require = createRequire(join(process.env.SUITE_PACKAGES, "package.json"));
const { chromium } = require("playwright-core");

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

class Stage {
  demo = JSON.parse(readFileSync(join(process.env.CALLSLIP_DATA_DIR, "demo.json"), "utf8"));
  /** What checks leave for later ones. */
  left = {};
  #browser;
  #trouble = [];
  #seats = new Map();
  #guest;
  #curator;

  /** Who has this role: their e-mail address and password. */
  user(role) {
    if (role === "operator") return this.demo.operator;
    if (role === "guest") return this.guest();
    if (role === "curator") return this.curator();
    const user = this.demo.users.find((one) => one.role === role || (role === "admin" && one.role === "owner"));
    assert(user, `demo.json names no ${role}`);
    return user;
  }

  /** Run a command on the installation; its output. */
  callslip(parameters, input = "") {
    return execFileSync(process.env.SUITE_BIN, parameters, { encoding: "utf8", input, stdio: ["pipe", "pipe", "pipe"] });
  }

  /** The same, while this process goes on to answer what the command asks it. */
  async command(...parameters) {
    return (await promisify(execFile)(process.env.SUITE_BIN, parameters)).stdout;
  }

  /** A second tenant, with nothing in it, and somebody with a long address who is in both. */
  guest() {
    if (!this.#guest) {
      const email = "maximiliana.hohenstaufen-winterbottom@reading-rooms.library-of-the-long-names.example";
      const password = "nine ginger kittens in a boathouse";
      const name = "The Royal Society for the Keeping of Very Long Names, Est. 18";
      this.callslip(["tenant", "create", "society", "--name", name.slice(0, 60)]);
      const add = (tenant) => this.callslip(
        ["user", "add", "--tenant", tenant, "--email", email, "--name", "Maximiliana", "--password-stdin"], `${password}\n`);
      add(this.demo.tenant);
      add("society");
      this.#guest = { email, password };
    }
    return this.#guest;
  }

  /** The owner of a tenant, `archive`, with nothing in it yet. */
  curator() {
    if (!this.#curator) {
      const email = "curator@archive.example";
      const password = "seven patient herons on a jetty";
      this.callslip(["tenant", "create", "archive", "--name", "Landesarchiv für Wirtschafts- und Verwaltungsgeschichte"]);
      this.callslip(
        ["user", "add", "--tenant", "archive", "--email", email, "--name", "Constanze", "--role", "owner", "--password-stdin"],
        `${password}\n`);
      this.#curator = { email, password };
    }
    return this.#curator;
  }

  path(rest = "") {
    return `${this.demo.origin}/t/${this.demo.tenant}${rest}`;
  }

  /** A window of a browser that nobody has used. */
  async window(options = {}) {
    this.#browser ??= await chromium.launch({ executablePath: process.env.SUITE_CHROMIUM, args: FLAGS });
    const context = await this.#browser.newContext({
      viewport: { width: 1280, height: 800 },
      reducedMotion: "reduce",
      ...options,
    });
    context.setDefaultTimeout(10_000);
    const page = await context.newPage();
    this.#watch(page);
    return page;
  }

  /** The window of somebody who has signed in; opened once. */
  async seat(role) {
    if (!this.#seats.has(role)) {
      const page = await this.window();
      await page.goto(`${this.demo.origin}/sign-in`);
      await this.signIn(page, role);
      this.#seats.set(role, page);
    }
    return this.#seats.get(role);
  }

  async signIn(page, role) {
    const { email, password } = this.user(role);
    await page.getByLabel("E-mail address").fill(email);
    await page.getByLabel("Password").fill(password);
    await page.getByRole("main").getByRole("button", { name: "Sign in" }).click();
    await page.waitForURL((url) => url.pathname !== "/sign-in");
  }

  // A page of ours must not fail, complain, or ask anybody else for anything.
  #watch(page) {
    const ours = (url) => url.startsWith(`${this.demo.origin}/`);
    page.on("pageerror", (error) => this.#trouble.push(`script error at ${page.url()}: ${error.message}`));
    page.on("console", (message) => {
      if (!["error", "warning"].includes(message.type()) || !ours(page.url())) return;
      // A page that is meant to be missing.
      if (/^Failed to load resource/.test(message.text()) && message.location().url === page.url()) return;
      this.#trouble.push(`console at ${page.url()}: ${message.text()}`);
    });
    page.on("request", (request) => {
      const url = request.url();
      const isPart = !request.isNavigationRequest() && !/^(data|blob):/.test(url);
      if (isPart && ours(page.url()) && !ours(url)) this.#trouble.push(`${page.url()} asked ${url}`);
    });
    page.on("response", (response) => {
      if (ours(response.url()) && response.status() >= 500) {
        this.#trouble.push(`${response.url()} answered ${response.status()}`);
      }
    });
  }

  takeTrouble() {
    return this.#trouble.splice(0);
  }

  requireNoTrouble() {
    const trouble = this.takeTrouble();
    if (trouble.length) throw new Error(trouble.join("\n"));
  }

  async close() {
    await this.#browser?.close();
  }
}

export const stage = new Stage();
