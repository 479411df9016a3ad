// The configuration that an observer of the benchmark is given: a tidemark.yaml, as somebody would write one for stores that others run.
// JSON is YAML.
import { STANDBY } from "./probed-pair.ts";

export interface WatchedServer {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
  readonly passwordFile?: string;
}

export interface WatchOrder {
  readonly stores: readonly { readonly name: string; readonly primary: WatchedServer; readonly standby: WatchedServer }[];
  /** What each service may lose when a node or a zone is lost, seconds. */
  readonly rpoSeconds: number;
  readonly webhook?: { readonly url: string; readonly keyFile: string };
  readonly alertmanager?: string;
}

/** One service to each store, with a canary. */
export function watchConfig({ stores, rpoSeconds, webhook, alertmanager }: WatchOrder): string {
  const objective = { rpo: `${rpoSeconds}s`, rto: "1h" };
  const receivers = {
    ...(webhook === undefined ? {} : { webhook: { webhook } }),
    ...(alertmanager === undefined ? {} : { alertmanager: { alertmanager: { url: alertmanager } } }),
  };
  return JSON.stringify({
    version: 1,
    name: "bench",
    services: Object.fromEntries(
      stores.map(({ name }) => [
        name,
        { tier: "high", why: "It is measured.", stores: [name], objectives: { "node-loss": objective, "zone-loss": objective } },
      ]),
    ),
    stores: Object.fromEntries(
      stores.map(({ name, primary, standby }) => [
        name,
        {
          kind: "observed",
          canary: "write",
          copies: {
            pg1: { postgresql: sourceOf(primary), domain: { machine: "m1", zone: "a" } },
            [STANDBY]: { postgresql: sourceOf(standby), domain: { machine: "m2", zone: "b" } },
          },
        },
      ]),
    ),
    ...(Object.keys(receivers).length === 0 ? {} : { alerts: { receivers } }),
  });
}

function sourceOf({ host, port, ...source }: WatchedServer): object {
  return { address: `${host}:${port}`, tls: "disable", ...source };
}
