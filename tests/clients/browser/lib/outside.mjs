// What vector stores reach outside: an API with /embeddings, and a bucket.

import { once } from "node:events";
import { createServer } from "node:http";

const DIMENSIONS = 8;

export class Outside {
  /** How many calls for embeddings are answered; those after them are held. */
  answers = Infinity;
  /** The bucket's files by key. */
  objects = new Map();
  #held = [];

  static async start() {
    const outside = new Outside();
    const server = createServer((request, response) => outside.#answer(request, response));
    server.listen(Number(process.env.SUITE_OUTSIDE_PORT), "127.0.0.1");
    await once(server, "listening");
    server.unref();
    outside.origin = `http://127.0.0.1:${process.env.SUITE_OUTSIDE_PORT}`;
    return outside;
  }

  /** Answer what is held, and whatever comes after it. */
  release() {
    this.answers = Infinity;
    for (const answer of this.#held.splice(0)) answer();
  }

  async #answer(request, response) {
    const chunks = await request.toArray();
    const { pathname } = new URL(request.url, this.origin);
    if (pathname === "/v1/embeddings") {
      const { input } = JSON.parse(Buffer.concat(chunks).toString());
      this.answers -= 1;
      if (this.answers < 0) await new Promise((resolve) => this.#held.push(resolve));
      const data = input.map((text, index) => ({ index, embedding: vector(text) }));
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ data }));
    } else if (pathname === "/papers/" || pathname === "/papers") {
      response.writeHead(200).end(this.#list());
    } else {
      const content = this.objects.get(decodeURIComponent(pathname.slice("/papers/".length)));
      response.writeHead(content === undefined ? 404 : 200).end(content);
    }
  }

  #list() {
    const contents = [...this.objects].map(([key, content]) =>
      `<Contents><Key>${encodeURIComponent(key)}</Key><ETag>&quot;${content.length}&quot;</ETag><Size>${Buffer.byteLength(content)}</Size></Contents>`);
    return `<ListBucketResult><IsTruncated>false</IsTruncated>${contents.join("")}</ListBucketResult>`;
  }
}

// Two texts of the same length mean the same.
function vector(text) {
  return Array.from({ length: DIMENSIONS }, (_, at) => Math.sin(text.length * (at + 1)));
}
