import { Agent, request } from "node:http";
import { orderNumber, type LoadDriver, type LoadTarget } from "./driver.ts";

type HttpTarget = Extract<LoadTarget, { driver: "plain-http" | "applied" | "ndjson" }>;

/**
 * Plain HTTP against the gateway, as an application without the SDK does it: node:http with kept connections, one
 * request in flight per writer. `applied` asks with `Prefer: wait` for the answer to come after the database has it.
 */
export async function httpDriver(target: HttpTarget, writers: number): Promise<LoadDriver> {
  const agent = new Agent({ keepAlive: true, maxSockets: writers, scheduling: "fifo" });
  const url = new URL("/v1/writes", target.url);
  const headers: Record<string, string> = {
    authorization: `Bearer ${target.token}`,
    "content-type": target.driver === "ndjson" ? "application/x-ndjson" : "application/json",
  };
  if (target.driver === "applied") headers["prefer"] = "wait=30";
  const options = { host: url.hostname, port: url.port, path: url.pathname, method: "POST", agent };
  const batch = target.driver === "ndjson" ? target.batch : 1;
  const accept = target.driver === "applied" ? [200, 201] : target.driver === "ndjson" ? [200, 202, 207] : [202];

  const post = (body: Buffer): Promise<void> =>
    new Promise((resolve, reject) => {
      const outgoing = request({ ...options, headers: { ...headers, "content-length": String(body.length) } }, (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
        incoming.on("error", reject);
        incoming.on("end", () => {
          const text = Buffer.concat(chunks);
          const good = accept.includes(incoming.statusCode ?? 0) && (batch === 1 || countReceipts(text) === batch);
          if (good) resolve();
          else reject(new Error(`${incoming.statusCode ?? 0} ${text.toString("utf8").slice(0, 300)}`));
        });
      });
      outgoing.on("error", reject);
      outgoing.end(body);
    });

  return {
    ordersPerWrite: batch,
    write: (_writer, first) => {
      if (batch === 1) return post(Buffer.from(writeLine(first)));
      let body = "";
      for (let n = first; n < first + batch; n++) body += `${writeLine(n)}\n`;
      return post(Buffer.from(body));
    },
    close: async () => {
      agent.destroy();
    },
  };
}

function writeLine(n: number): string {
  const args = orderNumber(n);
  return JSON.stringify({ command: "place-order", args, key: args.customer, idempotencyKey: args.order_id });
}

/** Lines of a batch's answer that are receipts: they have a sequence. Every line is parsed, as a client has to. */
function countReceipts(body: Buffer): number {
  let receipts = 0;
  for (const line of body.toString("utf8").split("\n")) {
    if (line.length > 0 && "sequence" in (JSON.parse(line) as object)) receipts++;
  }
  return receipts;
}
