// Programs that send a person to the browser by an address that they print.
import { createServer } from "node:net";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

import { decide } from "./demo.mjs";

const require = createRequire(import.meta.url);

/** The file of a program that a package brings. */
export function programOf(name, program) {
  const manifest = require.resolve(`${name}/package.json`);
  return join(dirname(manifest), require(manifest).bin[program]);
}

/** What such a program runs with: a home of its own, and a browser that does nothing. */
export const ENVIRONMENT = {
  PATH: process.env.PATH,
  HOME: join(process.env.SUITE_WORK, "home"),
  BROWSER: "true",
};

export function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** Watches what a program prints: a person opens the address, consents, and follows the redirect. */
export class Person {
  /** How often a person was sent to the browser. */
  asked = 0;
  printed = "";

  watch(stream) {
    stream.setEncoding("utf8");
    stream.on("data", (part) => {
      this.printed += part;
      this.#look().catch((error) => (this.printed += `\nthe person: ${error.message}`));
    });
  }

  async #look() {
    const urls = this.printed.matchAll(/https?:\/\/\S*\/oauth\/authorize\?[^\s"']+(?=[\s"'])/g);
    const seen = new Set([...urls].map(([url]) => url));
    for (const url of [...seen].slice(this.asked)) {
      this.asked += 1;
      await fetch(await decide(url));
    }
  }
}
