import { Client } from "pg";
import { orderNumber, type LoadDriver, type LoadTarget } from "./driver.ts";

export const INSERT_ORDER = "INSERT INTO orders (order_id, customer, item, quantity, cents, note) VALUES ($1, $2, $3, $4, $5, $6)";

/** Single-row INSERTs, each its own transaction, one connection per writer, prepared by name: what an application does by itself. */
export async function postgresDriver(target: Extract<LoadTarget, { driver: "postgres" }>, writers: number): Promise<LoadDriver> {
  const { host, port, user, password, database } = target;
  const clients = Array.from({ length: writers }, () => new Client({ host, port, user, password, database }));
  await Promise.all(clients.map((client) => client.connect()));
  return {
    ordersPerWrite: 1,
    write: async (writer, first) => {
      const order = orderNumber(first);
      const values = [order.order_id, order.customer, order.item, order.quantity, order.cents, order.note];
      await clients[writer]?.query({ name: "insert-order", text: INSERT_ORDER, values });
    },
    close: async () => {
      await Promise.all(clients.map((client) => client.end()));
    },
  };
}
