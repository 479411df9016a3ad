import { stringify } from "yaml";
import { MOST_AMOUNT_CENTS } from "../load/order-plan.ts";

/** The names that the prover asks the stack about. */
export const STORE = "orders";
export const COMMAND = "place-order";
export const NODES = ["pg1", "pg2"] as const;
export const VAULT = "vault1";

/**
 * The table of the proof. Nothing in it is unique but the surrogate key: a write applied twice must be able to show
 * itself. The sums of the customers would show it too. The limit is one that the command's schema does not know, so that
 * a write can be refused after it was accepted.
 */
export const SETUP_SQL = `CREATE TABLE orders (
  row_id bigint GENERATED ALWAYS AS IDENTITY,
  id uuid NOT NULL,
  number text NOT NULL,
  customer text NOT NULL,
  amount_cents bigint NOT NULL CONSTRAINT orders_amount_limit CHECK (amount_cents <= ${MOST_AMOUNT_CENTS}),
  accepted_at timestamptz NOT NULL
);
CREATE INDEX orders_number ON orders (number);
CREATE TABLE customers (
  name text PRIMARY KEY,
  orders bigint NOT NULL,
  total_cents bigint NOT NULL
);
`;

export interface StackPorts {
  readonly gateway: number;
  readonly control: number;
  readonly nodes: readonly { readonly postgres: number; readonly agent: number }[];
  readonly vault: number;
}

/** What a fault needs the stack to be. */
export interface StackVariant {
  /** Whether there is a vault beside the standby, with an archive in a folder. Default true. */
  readonly vault?: boolean;
  /** How many copies besides the primary must have a commit before it returns. Default: all of them. */
  readonly required?: 0 | 1 | 2;
}

/** How many copies besides the primary the stack of a variant requires. */
export function requiredCopies({ vault = true, required }: StackVariant): number {
  return required ?? NODES.length - 1 + (vault ? 1 : 0);
}

/** Files of a proof's stack, relative to the folder of tidemark.yaml. */
export const FILES = { config: "tidemark.yaml", setup: "prove.sql", token: "prove.token", stateDir: "state", log: "up.log" } as const;

/** What the objective promises; the report shows what was measured beside it. */
export const TARGETS = { rpoMs: 0, rtoMs: 5_000 } as const;

/** The text of tidemark.yaml for a proof. */
export function proveConfig(ports: StackPorts, variant: StackVariant): string {
  const nodes = Object.fromEntries(
    ports.nodes.map(({ postgres, agent }, index) => [
      NODES[index] ?? `pg${index + 1}`,
      { address: `127.0.0.1:${postgres}`, agent: `127.0.0.1:${agent}` },
    ]),
  );
  return stringify({
    version: 1,
    name: "prove",
    stateDir: FILES.stateDir,
    services: {
      orders: {
        owner: "prove",
        tier: "near-zero",
        why: "A lost order is a customer who paid and gets nothing.",
        stores: [STORE],
        objectives: { "process-loss": { rpo: TARGETS.rpoMs, rto: `${TARGETS.rtoMs}ms` } },
      },
    },
    stores: {
      [STORE]: {
        kind: "postgresql",
        setup: [FILES.setup],
        nodes,
        ...(variant.vault === false
          ? {}
          : { vaults: { [VAULT]: { listen: `127.0.0.1:${ports.vault}`, archive: { stores: { main: { kind: "folder" } } } } } }),
        required: requiredCopies(variant),
        policy: "available",
        // Commit times are read from the rows themselves: the measure of how long nothing was committed.
        settings: { track_commit_timestamp: true },
      },
    },
    journal: { partitions: 8, segmentSize: "16MiB", quota: "1GiB", minimumFree: "64MiB", healing: { window: "1h", atQuota: "shorten" } },
    gateway: { listen: `127.0.0.1:${ports.gateway}`, tokens: { prove: { file: FILES.token, scopes: ["write", "read", "operate"] } } },
    control: { listen: `127.0.0.1:${ports.control}` },
    commands: {
      [COMMAND]: {
        store: STORE,
        key: "/customer",
        schema: {
          type: "object",
          required: ["number", "customer", "amount_cents"],
          additionalProperties: false,
          properties: {
            number: { type: "string", minLength: 1, maxLength: 80 },
            customer: { type: "string", minLength: 1, maxLength: 80 },
            amount_cents: { type: "integer", minimum: 1, maximum: 1_000_000_000 },
          },
        },
        statements: [
          "INSERT INTO orders (id, number, customer, amount_cents, accepted_at) VALUES (:id, :number, :customer, :amount_cents, :accepted_at)",
          "INSERT INTO customers (name, orders, total_cents) VALUES (:customer, 1, :amount_cents) ON CONFLICT (name) DO UPDATE SET orders = customers.orders + 1, total_cents = customers.total_cents + excluded.total_cents",
        ],
      },
    },
  });
}
