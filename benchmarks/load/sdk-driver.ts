import { TidemarkClient } from "@tidemark/client";
import { orderNumber, type LoadDriver, type LoadTarget } from "./driver.ts";

/** The SDK, one client for all writers. */
export async function sdkDriver(target: Extract<LoadTarget, { driver: "sdk" }>): Promise<LoadDriver> {
  const client = new TidemarkClient({
    url: target.url,
    token: target.token,
    ...(target.requests === undefined ? {} : { limits: { requests: target.requests } }),
  });
  return {
    ordersPerWrite: 1,
    write: async (_writer, first) => {
      const order = orderNumber(first);
      await client.write("place-order", order as unknown as Record<string, unknown>, {
        key: order.customer,
        idempotencyKey: order.order_id,
      });
    },
    close: () => client.close(),
  };
}
