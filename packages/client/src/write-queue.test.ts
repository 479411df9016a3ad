import * as fc from "fast-check";
import { expect, test } from "vitest";
import { WriteQueue, type Queued } from "./write-queue.ts";

class Item implements Queued {
  abandoned = false;
  alone = false;
  readonly bytes = 10;
  readonly name: string;
  readonly key: string | undefined;
  constructor(name: string, key?: string) {
    this.name = name;
    this.key = key;
  }
}
const roomy = { writes: 100, bytes: 1_000_000 };
const names = (items: readonly Item[]): string => items.map((item) => item.name).join("");
const filled = (...items: Item[]): WriteQueue<Item> => {
  const queue = new WriteQueue<Item>();
  for (const item of items) queue.add(item);
  return queue;
};

test("a batch takes what waits, in order, up to its limits of writes and bytes", () => {
  const queue = filled(new Item("a"), new Item("b"), new Item("c"), new Item("d"));
  expect(names(queue.take({ writes: 2, bytes: 1_000 }))).toBe("ab");
  expect(names(queue.take({ writes: 2, bytes: 19 }))).toBe("c");
  expect(names(queue.take({ writes: 2, bytes: 1 }))).toBe("d");
  expect(names(queue.take(roomy))).toBe("");
});

test("writes of one key share a batch, and the next of that key wait until it is decided", () => {
  const [a, b, c, d] = [new Item("a", "k"), new Item("b", "k"), new Item("c", "k"), new Item("d")] as const;
  const queue = filled(a, b, c, d);
  expect(names(queue.take({ writes: 2, bytes: 1_000 }))).toBe("ab");
  expect(names(queue.take(roomy))).toBe("d");
  queue.decided(a);
  expect(names(queue.take(roomy))).toBe("");
  queue.decided(b);
  expect(names(queue.take(roomy))).toBe("c");
});

test("what comes back goes before everything else, and its key's later writes stay behind it", () => {
  const [a, b, c, d] = [new Item("a", "k"), new Item("b", "k"), new Item("c", "k"), new Item("d")] as const;
  const queue = filled(a, b);
  const batch = queue.take(roomy);
  queue.add(c);
  queue.add(d);
  queue.take({ writes: 1, bytes: 1_000 });
  queue.putBack(batch);
  expect(names(queue.take(roomy))).toBe("abc");
});

test("an abandoned write is dropped when its turn comes, and opens its lane all the same", () => {
  const [a, b, c] = [new Item("a", "k"), new Item("b", "k"), new Item("c")] as const;
  const queue = filled(a, b, c);
  const batch = queue.take({ writes: 1, bytes: 1_000 });
  a.abandoned = true;
  queue.putBack(batch);
  expect(names(queue.take(roomy))).toBe("bc");
});

test("a write that must go alone is alone in its batch", () => {
  const items = [new Item("a"), new Item("b"), new Item("c")];
  const queue = filled(...items);
  (items[1] as Item).alone = true;
  expect([names(queue.take(roomy)), names(queue.take(roomy)), names(queue.take(roomy))]).toEqual(["a", "b", "c"]);
});

test("memory follows abandoned writes also while nothing can be sent", () => {
  const queue = new WriteQueue<Item>();
  for (let i = 0; i < 100_000; i++) {
    const item = new Item(String(i));
    queue.add(item);
    item.abandoned = true;
    queue.noteAbandoned();
  }
  expect(queue.ready).toBeLessThan(5_000);
});

test("whatever fails, comes back and is abandoned, writes of one key are accepted in order, each once", () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant("add" as const), key: fc.constantFrom("k", "k", "l", undefined), count: fc.integer({ min: 1, max: 6 }) }),
    fc.record({ do: fc.constant("take" as const), writes: fc.integer({ min: 1, max: 4 }) }),
    fc.record({ do: fc.constant("accept" as const), pick: fc.nat(9) }),
    fc.record({ do: fc.constant("fail" as const), pick: fc.nat(9), from: fc.constantFrom(0, 0, 1, 2) }),
    fc.record({ do: fc.constant("abandon" as const), pick: fc.nat(50) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const queue = new WriteQueue<Item>();
      const all: Item[] = [];
      const batches: Item[][] = [];
      const accepted: Item[] = [];
      for (const action of steps) {
        if (action.do === "add") {
          for (let added = 0; added < action.count; added++) {
            const item = new Item(String(all.length), action.key);
            all.push(item);
            queue.add(item);
          }
        } else if (action.do === "take") {
          const batch = queue.take({ writes: action.writes, bytes: 1_000 });
          if (batch.length > 0) batches.push(batch);
        } else if (action.do === "abandon") {
          const item = all[action.pick];
          if (item !== undefined && !accepted.includes(item)) item.abandoned = true;
        } else {
          const batch = batches.splice(action.pick % Math.max(1, batches.length), 1)[0] ?? [];
          // The gateway takes a batch in order; here from some line on it refused everything.
          const cut = action.do === "fail" ? action.from : batch.length;
          for (const item of batch.slice(0, cut)) {
            accepted.push(item);
            queue.decided(item);
          }
          queue.putBack(batch.slice(cut));
        }
      }
      const acceptAll = (batch: readonly Item[]): void => {
        for (const item of batch) {
          accepted.push(item);
          queue.decided(item);
        }
      };
      for (const batch of batches) acceptAll(batch);
      for (let batch = queue.take(roomy); batch.length > 0; batch = queue.take(roomy)) acceptAll(batch);
      for (const key of ["k", "l"]) {
        const order = accepted.filter((item) => item.key === key).map((item) => Number(item.name));
        expect(order).toEqual([...order].sort((left, right) => left - right));
      }
      expect(new Set(accepted).size).toBe(accepted.length);
      expect(all.filter((item) => !item.abandoned && !accepted.includes(item))).toEqual([]);
    }),
    { numRuns: 2_000 },
  );
});
