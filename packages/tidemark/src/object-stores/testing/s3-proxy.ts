// Stands between a store and s3rver, writes down what is asked, and answers in its place where a test wants a store that
// s3rver is not: with conditional puts, locks, or faults. What it answers is what S3's documentation says, no more.
import { createServer, request as forward, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Asked {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** What becomes of a request: on to s3rver; an answer in its place; or the connection's end, now or after s3rver has done it. */
export type Fate =
  | "forward"
  | "hang"
  | "reset"
  | "lose-answer"
  | {
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string | Buffer;
      readonly cut?: "reset" | "stall";
      /** Sends the body in pieces of 1,000 bytes, one each so many milliseconds. */
      readonly pieceEveryMs?: number;
    }
  /** Forwarded, with these headers put over those of the answer. */
  | { readonly forwardWith: Readonly<Record<string, string>> };

export interface S3Proxy {
  readonly endpoint: string;
  readonly asked: Asked[];
  /** Decides the fate of each request; may wait. Replaced by the test. */
  decide: (asked: Asked) => Fate | Promise<Fate>;
  readonly stop: () => Promise<void>;
}

/** An error as S3 writes it. */
export function s3Refusal(status: number, code: string, message = code): Fate {
  const body = `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>${message}</Message><RequestId>1</RequestId></Error>`;
  return { status, headers: { "content-type": "application/xml" }, body };
}

export async function startS3Proxy(targetPort: number): Promise<S3Proxy> {
  const server = createServer((incoming, outgoing) => {
    // A client that goes away while it sends is what some tests make.
    handle(incoming, outgoing).catch(() => outgoing.destroy());
  });
  const proxy = { asked: [] as Asked[], decide: (): Fate => "forward" } as { asked: Asked[]; decide: S3Proxy["decide"] };
  const handle = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming as AsyncIterable<Buffer>) chunks.push(chunk);
    const url = new URL(incoming.url ?? "/", "http://proxy");
    const asked = {
      method: incoming.method ?? "",
      path: decodeURIComponent(url.pathname),
      query: url.searchParams,
      headers: incoming.headers,
      body: Buffer.concat(chunks),
    };
    proxy.asked.push(asked);
    const fate = await proxy.decide(asked);
    if (fate === "hang") return;
    if (fate === "reset") return void outgoing.destroy();
    if (typeof fate === "object" && "status" in fate) return answer(outgoing, fate);
    const onward = forward(
      { host: "127.0.0.1", port: targetPort, method: incoming.method, path: incoming.url, headers: incoming.headers },
      (back) => {
        if (fate === "lose-answer") {
          back.resume().once("end", () => outgoing.destroy());
          return;
        }
        outgoing.writeHead(back.statusCode ?? 502, { ...back.headers, ...(typeof fate === "object" ? fate.forwardWith : {}) });
        back.pipe(outgoing);
      },
    );
    onward.once("error", () => outgoing.destroy());
    onward.end(asked.body);
  };
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  return Object.assign(proxy, {
    endpoint: `http://127.0.0.1:${port}`,
    stop: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  });
}

function answer(outgoing: ServerResponse, fate: Extract<Fate, { status: number }>): void {
  outgoing.writeHead(fate.status, fate.headers);
  if (fate.pieceEveryMs !== undefined) {
    const body = Buffer.from(fate.body ?? "");
    let at = 0;
    const sending = setInterval(() => {
      if (at >= body.length) outgoing.end();
      else outgoing.write(body.subarray(at, (at += 1_000)));
      if (outgoing.writableEnded || outgoing.destroyed) clearInterval(sending);
    }, fate.pieceEveryMs);
    return;
  }
  if (fate.cut === undefined) return void outgoing.end(fate.body);
  outgoing.write(fate.body ?? "", () => {
    if (fate.cut === "reset") outgoing.destroy();
  });
}
