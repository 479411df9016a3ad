// What must hold when all is quiet, counted from what was acknowledged and what stands in the database, and from nothing that
// the applier says.
import type { Acknowledged, ModelGateway } from "./model-gateway.ts";
import type { ModelState } from "./model-state.ts";

export interface Checked {
  readonly gateways: readonly ModelGateway[];
  readonly state: ModelState;
  readonly violations: string[];
}

export function checkWrites(checked: Checked): void {
  checkOnce(checked);
  checkVerdicts(checked);
  checkOrder(checked);
}

/** Each acknowledged key has one effect, unless its last word is a rejection: then none. */
function checkOnce({ gateways, state, violations }: Checked): void {
  const found = new Map<string, number>();
  for (const effect of state.effects) found.set(effect.idempotencyKey, (found.get(effect.idempotencyKey) ?? 0) + 1);
  const byKey = new Map<string, { gateway: ModelGateway; write: Acknowledged }[]>();
  for (const gateway of gateways) {
    for (const write of gateway.acknowledged.values())
      byKey.set(write.idempotencyKey, [...(byKey.get(write.idempotencyKey) ?? []), { gateway, write }]);
  }
  for (const [key, copies] of byKey) {
    const times = found.get(key) ?? 0;
    const refused = copies.every(({ gateway, write }) => gateway.shown.has(write.sequence));
    const where = copies.map(({ gateway, write }) => `${gateway.id}/${write.sequence} ${write.command}`).join(", ");
    if (times > 1) violations.push(`duplicated ${times} times: ${where}`);
    if (times === 0 && !refused) violations.push(`lost: ${where}`);
  }
  for (const key of found.keys()) if (!byKey.has(key)) violations.push(`made up: ${key}`);
}

/** A record with a verdict takes no effect; a verdict blames only what is at fault. */
function checkVerdicts({ gateways, state, violations }: Checked): void {
  const effects = new Set(state.effects.map((effect) => `${effect.journal}/${effect.sequence}`));
  for (const gateway of gateways) {
    for (const sequence of gateway.shown.keys()) {
      if (effects.has(`${gateway.id}/${sequence}`)) violations.push(`resurrected: ${gateway.id}/${sequence} was refused and is there`);
    }
    for (const sequence of gateway.rejected) {
      const write = gateway.acknowledged.get(sequence);
      if (write?.command !== "order" || write.args["name"] === "nobody") continue;
      violations.push(`blamed: ${gateway.id}/${sequence}, whose customer was accepted before it`);
    }
  }
}

/** The effects of a key stand in the order of their origins. */
function checkOrder({ gateways, state, violations }: Checked): void {
  for (const gateway of gateways) {
    const last = new Map<string, bigint>();
    for (const effect of state.effects) {
      if (effect.journal !== gateway.id) continue;
      const write = gateway.acknowledged.get(effect.sequence);
      const before = last.get(effect.key) ?? 0n;
      // What was rejected without stopping its key is replayed late, out of order, as configured.
      if (write === undefined || (write.replayOf !== undefined && !write.key.startsWith("k"))) continue;
      if (write.origin < before && write.command !== "order")
        violations.push(`out of order: ${gateway.id}/${effect.sequence} of ${effect.key} behind ${before}`);
      if (write.command !== "order") last.set(effect.key, write.origin);
    }
  }
}
