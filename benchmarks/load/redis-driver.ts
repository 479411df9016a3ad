import { Redis } from "ioredis";
import { orderNumber, type LoadDriver, type LoadTarget } from "./driver.ts";

/** XADD on one connection with automatic pipelining: the commands of one turn of the event loop go out together. */
export async function redisDriver(target: Extract<LoadTarget, { driver: "redis" }>): Promise<LoadDriver> {
  const redis = new Redis({ host: target.host, port: target.port, enableAutoPipelining: true, lazyConnect: true });
  await redis.connect();
  return {
    ordersPerWrite: 1,
    write: async (_writer, first) => {
      await redis.xadd(target.stream, "*", "order", JSON.stringify(orderNumber(first)));
    },
    close: async () => {
      await redis.quit();
    },
  };
}
