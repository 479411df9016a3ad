// Asks a vault for WAL files and gives it some. Uses node:http and nothing else: `tidemark wal fetch` is a process of its own for each
// segment, and its start is most of its time.
import { createHash } from "node:crypto";
import { request, type IncomingMessage } from "node:http";
import { errorCatalogue } from "@tidemark/kernel/error-catalogue";
import type { ErrorCode } from "@tidemark/kernel/errors";
import { TidemarkError } from "@tidemark/kernel/errors";
import { parseLsn, type Lsn } from "@tidemark/kernel/lsn";
import type { Redacted } from "@tidemark/kernel/redacted";
import { WAL_HEADER } from "./wal-headers.ts";

export interface VaultAddress {
  readonly name: string;
  readonly host: string;
  readonly port: number;
}

export interface FetchedFile {
  readonly bytes: Uint8Array;
  readonly source: string;
  /** Of a segment: where its WAL ends. */
  readonly end?: Lsn;
  /** False: it still grows. */
  readonly complete: boolean;
}

/** A vault that takes no connection in so long counts as away. */
const CONNECT_MS = 5_000;
/** One that is silent for so long as well: reading a segment back from a slow object store takes seconds. */
const SILENCE_MS = 30_000;
/** Reading a catalogue from its stores takes minutes. */
const LONG_SILENCE_MS = 3_600_000;
/** The largest file that is taken: the largest segment of PostgreSQL. */
const MOST_BYTES = 1_073_741_824;

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

export class VaultWalClient {
  readonly vault: VaultAddress;
  readonly #token: Redacted<string>;

  constructor(vault: VaultAddress, token: Redacted<string>) {
    this.vault = vault;
    this.#token = token;
  }

  /**
   * Rejects with the vault's own error, with TM-VAULT-AWAY when it cannot be reached, falls silent or answers without a code of ours,
   * and with TM-VAULT-DAMAGED when the bytes are not those that it sent.
   */
  async get(name: string, systemIdentifier?: string): Promise<FetchedFile> {
    const query = systemIdentifier === undefined ? "" : `?system=${systemIdentifier}`;
    const { headers, body } = await this.#ask({ method: "GET", path: `/wal/${encodeURIComponent(name)}${query}` });
    const sha256 = headers[WAL_HEADER.sha256];
    // Something else that answers 200 on this port is not a vault.
    if (typeof sha256 !== "string") throw this.#away(new Error("it answered without a checksum"));
    if (createHash("sha256").update(body).digest("hex") !== sha256)
      throw new TidemarkError("TM-VAULT-DAMAGED", `${name} came from vault ${this.vault.name} with another checksum than it was sent with`);
    const end = headers[WAL_HEADER.end];
    return {
      bytes: body,
      source: String(headers[WAL_HEADER.source]),
      complete: headers[WAL_HEADER.complete] === "true",
      ...(typeof end === "string" ? { end: parseLsn(end) } : {}),
    };
  }

  /** Resolves once the file is durable in the vault; with `archivedWithinMs` once every object store has it. Rejects like {@link get}. */
  async put(name: string, bytes: Uint8Array, options: { archivedWithinMs?: number } = {}): Promise<{ outcome: string; archived: boolean }> {
    const query = options.archivedWithinMs === undefined ? "" : `?archivedWithinMs=${options.archivedWithinMs}`;
    const { body } = await this.#ask({
      method: "PUT",
      path: `/wal/${encodeURIComponent(name)}${query}`,
      body: bytes,
      silenceMs: SILENCE_MS + (options.archivedWithinMs ?? 0),
    });
    const answer = this.#json(body) as { outcome?: unknown; archived?: unknown };
    // Only a vault's own words are believed: what was not taken must not be recycled by PostgreSQL.
    if (typeof answer?.outcome !== "string" || typeof answer.archived !== "boolean")
      throw this.#away(new Error("its answer is none of a vault"));
    return { outcome: answer.outcome, archived: answer.archived };
  }

  /** An answer as JSON. Rejects like {@link get}. */
  async json(path: string, method: "GET" | "POST" = "GET"): Promise<unknown> {
    return this.#json((await this.#ask({ method, path, ...(method === "POST" ? { silenceMs: LONG_SILENCE_MS } : {}) })).body);
  }

  /** Clears the vault's recorded faults of a code; answers how many there were. Rejects like {@link get}. */
  async clearFaults(code: string): Promise<number> {
    const sent = Buffer.from(JSON.stringify({ code }));
    const { body } = await this.#ask({ method: "POST", path: "/faults/clear", body: sent, contentType: "application/json" });
    const { cleared } = (this.#json(body) ?? {}) as { cleared?: unknown };
    if (typeof cleared !== "number") throw this.#away(new Error("its answer is none of a vault"));
    return cleared;
  }

  #json(body: Buffer): unknown {
    try {
      return JSON.parse(body.toString("utf8"));
    } catch (cause) {
      throw this.#away(cause);
    }
  }

  async #ask(options: { method: string; path: string; body?: Uint8Array; contentType?: string; silenceMs?: number }): Promise<Answer> {
    const { host, port } = this.vault;
    const answer = await new Promise<Answer>((resolve, reject) => {
      const headers: Record<string, string | number> = { authorization: `Bearer ${this.#token.reveal()}` };
      if (options.body !== undefined) {
        headers["content-type"] = options.contentType ?? "application/octet-stream";
        headers["content-length"] = options.body.length;
        headers[WAL_HEADER.sha256] = createHash("sha256").update(options.body).digest("hex");
      }
      const sent = request({ host, port, method: options.method, path: options.path, headers, agent: false }, (response) => {
        const chunks: Buffer[] = [];
        let length = 0;
        response.on("data", (chunk: Buffer) => {
          length += chunk.length;
          if (length > MOST_BYTES) response.destroy(new Error(`an answer of more than ${MOST_BYTES} bytes`));
          else chunks.push(chunk);
        });
        response.on("error", reject);
        // A connection that breaks ends the answer early; without this it would look whole.
        response.on("end", () =>
          response.complete
            ? resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks, length) })
            : reject(new Error("its answer was cut")),
        );
      });
      sent.setTimeout(CONNECT_MS, () => sent.destroy(new Error("it is silent")));
      sent.once("socket", (socket) => socket.once("connect", () => sent.setTimeout(options.silenceMs ?? SILENCE_MS)));
      sent.on("error", reject);
      sent.end(options.body);
    }).catch((cause: unknown) => {
      throw this.#away(cause);
    });
    if (answer.status === 200) return answer;
    throw this.#problem(answer);
  }

  #problem({ status, body }: Answer): TidemarkError {
    const { code, detail } = (this.#json(body) ?? {}) as { code?: unknown; detail?: unknown };
    const words = typeof detail === "string" ? detail : `status ${status}`;
    if (typeof code === "string" && code in errorCatalogue)
      return new TidemarkError(code as ErrorCode, `vault ${this.vault.name}: ${words}`);
    return this.#away(new Error(`it answered ${status}: ${words}`));
  }

  #away(cause: unknown): TidemarkError {
    const { name, host, port } = this.vault;
    return new TidemarkError("TM-VAULT-AWAY", `asked vault ${name} at ${host}:${port} in vain`, { cause });
  }
}
