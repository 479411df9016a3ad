import { seededRandom, type Random } from "@tidemark/kernel/random";
import type { Purpose } from "../ledger/ledger-entry.ts";

/** What is sent as write `n`. A repeat or conflict carries the order and key of its original, `originalOf`. */
export interface PlannedWrite {
  readonly n: number;
  readonly purpose: Purpose;
  readonly order: string;
  readonly customer: string;
  readonly amountCents: number;
  readonly idempotencyKey: string;
  readonly originalOf?: number;
}

/** The table refuses amounts above this; the command's schema lets them pass (see examples/prove.sql). */
export const MOST_AMOUNT_CENTS = 1_000_000;
/** How many customers order; a customer is the key by which order is kept. */
export const CUSTOMERS = 40;
/** A repeat or conflict refers to one of so many orders before it. */
const ORDERS_REMEMBERED = 256;

/** Shares of the load that are not plain orders; the rest are. */
const SHARES: readonly { readonly purpose: Exclude<Purpose, "order">; readonly share: number }[] = [
  { purpose: "breaks-constraint", share: 0.01 },
  { purpose: "repeat", share: 0.02 },
  { purpose: "conflict", share: 0.005 },
  { purpose: "invalid", share: 0.005 },
];

/**
 * The writes of a load, the same for the same seed. Endless; each call of `next` gives the following one.
 */
export class OrderPlan {
  readonly #random: Random;
  readonly #run: string;
  readonly #reuseKeys: boolean;
  readonly #orders: PlannedWrite[] = [];
  #n = 0;

  /**
   * @param options.run goes into keys and order numbers, so that two runs never collide.
   * @param options.reuseKeys whether repeats and conflicts are part of it.
   */
  constructor(options: { seed: number; run: string; reuseKeys: boolean }) {
    this.#random = seededRandom(options.seed);
    this.#run = options.run;
    this.#reuseKeys = options.reuseKeys;
  }

  next(): PlannedWrite {
    const n = this.#n++;
    const purpose = this.#draw();
    const customer = `customer-${String(Math.floor(this.#random.fraction() * CUSTOMERS)).padStart(2, "0")}`;
    const amountCents = 100 + Math.floor(this.#random.fraction() * 50_000);
    const fresh = { n, order: `${this.#run}-${String(n).padStart(7, "0")}`, customer, idempotencyKey: `${this.#run}-key-${n}` };
    const original = this.#orders[Math.floor(this.#random.fraction() * this.#orders.length)];
    if (purpose === "breaks-constraint") return { ...fresh, purpose, amountCents: MOST_AMOUNT_CENTS + amountCents };
    if (purpose === "invalid") return { ...fresh, purpose, amountCents: -amountCents };
    if (purpose === "order" || original === undefined) return this.#remember({ ...fresh, purpose: "order", amountCents });
    return {
      n,
      purpose,
      order: original.order,
      customer: original.customer,
      amountCents: purpose === "conflict" ? original.amountCents + 1 : original.amountCents,
      idempotencyKey: original.idempotencyKey,
      originalOf: original.n,
    };
  }

  #draw(): Purpose {
    let rest = this.#random.fraction();
    for (const { purpose, share } of SHARES) {
      if (rest < share) return !this.#reuseKeys && (purpose === "repeat" || purpose === "conflict") ? "order" : purpose;
      rest -= share;
    }
    return "order";
  }

  #remember(order: PlannedWrite): PlannedWrite {
    this.#orders.push(order);
    if (this.#orders.length > ORDERS_REMEMBERED) this.#orders.shift();
    return order;
  }
}
