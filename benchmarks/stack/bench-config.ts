/** The store of the benchmark's stack, and with it the name of its database and of its owner. */
export const STORE = "orders";

/** The table that both the gateway's command and the direct INSERTs write into. */
export const SETUP_SQL = `CREATE TABLE orders (
  order_id uuid PRIMARY KEY,
  customer text NOT NULL,
  item text NOT NULL,
  quantity integer NOT NULL,
  cents bigint NOT NULL,
  note text NOT NULL
);
`;

/** Where the roles of the benchmark's stack listen. */
export interface BenchPorts {
  readonly gateway: number;
  readonly control: number;
  readonly nodes: readonly { readonly postgres: number; readonly agent: number }[];
}

/**
 * The text of tidemark.yaml: defaults, but for what 512 writers with batches of 100 need (writes pending) and for a
 * journal large enough to hold a burst while nothing is applied.
 */
export function benchConfig(ports: BenchPorts): string {
  const short = { type: "string", minLength: 1, maxLength: 100 };
  const node = (index: number): object => ({
    address: `127.0.0.1:${ports.nodes[index]?.postgres ?? 0}`,
    agent: `127.0.0.1:${ports.nodes[index]?.agent ?? 0}`,
  });
  // JSON is YAML.
  return JSON.stringify({
    version: 1,
    name: "bench",
    services: {
      orders: {
        owner: "bench",
        tier: "near-zero",
        why: "A lost order is a customer who paid and gets nothing.",
        stores: [STORE],
        objectives: { "process-loss": { rpo: 0, rto: "5s" } },
      },
    },
    stores: {
      [STORE]: { kind: "postgresql", setup: ["setup.sql"], nodes: { pg1: node(0), pg2: node(1) }, required: 1, policy: "available" },
    },
    journal: { quota: "8GiB" },
    gateway: {
      listen: `127.0.0.1:${ports.gateway}`,
      tokens: { bench: { file: "bench.token", scopes: ["write", "read", "operate"] } },
      limits: { pendingWrites: 100_000 },
    },
    control: { listen: `127.0.0.1:${ports.control}` },
    commands: {
      "place-order": {
        store: STORE,
        key: "/customer",
        schema: {
          type: "object",
          required: ["order_id", "customer", "item", "quantity", "cents", "note"],
          additionalProperties: false,
          properties: {
            order_id: { type: "string", format: "uuid" },
            customer: short,
            item: short,
            quantity: { type: "integer", minimum: 1 },
            cents: { type: "integer", minimum: 0 },
            note: short,
          },
        },
        statements: [
          "INSERT INTO orders (order_id, customer, item, quantity, cents, note) VALUES (:order_id, :customer, :item, :quantity, :cents, :note)",
        ],
      },
    },
  });
}
