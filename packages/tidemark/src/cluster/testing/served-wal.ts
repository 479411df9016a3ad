// An HTTP server that gives the WAL files of a folder as a vault does, as far as a completion asks for them; a test can make it lie,
// fall silent, or end in the middle.
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import type { Server, ServerResponse } from "node:http";
import { createServer } from "node:http";
import { join } from "node:path";
import { parseLsn } from "@tidemark/kernel/lsn";
import { parseSegmentName } from "@tidemark/postgres/wal/segment-name";

const SEGMENT_BYTES = 16_777_216;

/** What is done with a file instead of sending it whole; `undefined` sends it. */
export type Trouble = (name: string, bytes: Buffer, response: ServerResponse) => boolean;

export class ServedWal {
  readonly asked: string[] = [];
  /** Set to interfere; answers whether it has dealt with the request. */
  trouble: Trouble | undefined;
  /** Gives what lies beyond the asked end as well. */
  givesMore = false;
  readonly #server: Server;
  readonly #waiting = new Map<string, () => void>();

  private constructor(folder: string) {
    this.#server = createServer((request, response) => {
      const url = new URL(request.url ?? "", "http://here");
      const name = url.pathname.slice("/wal/".length);
      this.asked.push(name);
      this.#waiting.get(name)?.();
      readFile(join(folder, name)).then(
        (bytes) => {
          const place = parseSegmentName(name, SEGMENT_BYTES);
          const upTo = url.searchParams.get("upTo");
          if (place !== undefined && upTo !== null && !this.givesMore && parseLsn(upTo) < place.start + BigInt(SEGMENT_BYTES))
            bytes.fill(0, Number(parseLsn(upTo) - place.start));
          if (this.trouble?.(name, bytes, response) !== true) response.end(bytes);
        },
        () =>
          response
            .writeHead(404, { "content-type": "application/problem+json" })
            .end('{"code":"TM-VAULT-END-OF-WAL","detail":"not there"}'),
      );
    });
  }

  static async listen(folder: string, port: number): Promise<ServedWal> {
    const served = new ServedWal(folder);
    served.#server.listen(port, "127.0.0.1");
    await once(served.#server, "listening");
    return served;
  }

  /** Resolves when a file is asked for. */
  untilAsked(name: string): Promise<void> {
    return new Promise((resolve) => this.#waiting.set(name, resolve));
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }
}
