import { connect } from "amqplib";
import { orderNumber, type LoadDriver, type LoadTarget } from "./driver.ts";

/** Publishes persistent messages on one confirm channel; as many unconfirmed ones as there are writers. */
export async function amqpDriver(target: Extract<LoadTarget, { driver: "amqp" }>): Promise<LoadDriver> {
  const connection = await connect(target.url, { noDelay: true });
  const channel = await connection.createConfirmChannel();
  return {
    ordersPerWrite: 1,
    write: (_writer, first) =>
      new Promise((resolve, reject) => {
        channel.sendToQueue(target.queue, Buffer.from(JSON.stringify(orderNumber(first))), { persistent: true }, (error: unknown) => {
          if (error === null || error === undefined) resolve();
          else reject(error instanceof Error ? error : new Error("nacked"));
        });
      }),
    close: async () => {
      await channel.close();
      await connection.close();
    },
  };
}
