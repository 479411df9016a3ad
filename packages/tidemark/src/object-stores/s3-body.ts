import type { Readable } from "node:stream";
import { TidemarkError } from "@tidemark/kernel/errors";

/** Announced bodies up to here are read into one buffer; for larger ones memory is taken as they come, whatever they announce. */
const PREPARED_BYTES = 32 * 1_048_576;

export interface BodyOrder {
  readonly attempt: string;
  /** What the answer's header says. */
  readonly announced: number | undefined;
  readonly maxBytes: number;
  readonly signal: AbortSignal;
  /** Told with every piece that comes. */
  readonly moving: () => void;
}

/** The body of an answer as a whole. Rejects with TM-OBJECT-TOO-LARGE, with TM-OBJECT-STORE-FAULT when it is not as long as was announced, or as the stream does. */
export async function readBody(body: Readable, order: BodyOrder): Promise<Uint8Array> {
  const onAbort = (): void => {
    body.destroy(order.signal.reason as Error);
  };
  order.signal.addEventListener("abort", onAbort, { once: true });
  try {
    const { announced } = order;
    if (announced !== undefined && announced > order.maxBytes) throw tooLarge(order, announced);
    const whole = announced !== undefined && announced <= PREPARED_BYTES ? Buffer.allocUnsafeSlow(announced) : undefined;
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of body as AsyncIterable<Buffer>) {
      if (bytes + chunk.length > Math.min(order.maxBytes, announced ?? order.maxBytes)) throw tooLarge(order, bytes + chunk.length);
      if (whole === undefined) chunks.push(chunk);
      else whole.set(chunk, bytes);
      bytes += chunk.length;
      order.moving();
    }
    if (announced !== undefined && bytes !== announced)
      throw new TidemarkError("TM-OBJECT-STORE-FAULT", `could not ${order.attempt}: ${bytes} bytes came, ${announced} were announced`);
    return whole ?? Buffer.concat(chunks, bytes);
  } finally {
    order.signal.removeEventListener("abort", onAbort);
    body.destroy();
  }
}

function tooLarge(order: BodyOrder, bytes: number): TidemarkError {
  return new TidemarkError("TM-OBJECT-TOO-LARGE", `could not ${order.attempt}: ${bytes} bytes, at most ${order.maxBytes} were expected`);
}
