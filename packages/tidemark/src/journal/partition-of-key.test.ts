import { expect, it } from "vitest";
import { partitionOfKey } from "./partition-of-key.ts";

/** docs/journal-format.md has the same vectors. */
const VECTORS: readonly (readonly [key: string, ofFour: number, ofSixteen: number, ofMany: number])[] = [
  ["", 3, 11, 31_755],
  ["a", 3, 3, 45_491],
  ["customer-42", 0, 12, 30_028],
  ["ключ", 2, 2, 46_434],
];

it("gives each key of the specification its partition", () => {
  for (const [key, ofFour, ofSixteen, ofMany] of VECTORS)
    expect([4, 16, 65_536].map((count) => partitionOfKey(key, count))).toEqual([ofFour, ofSixteen, ofMany]);
});

it("fills a small number of partitions evenly", () => {
  const counts = Array.from({ length: 8 }, () => 0);
  for (let i = 0; i < 80_000; i++) {
    const partition = partitionOfKey(`customer-${i}`, 8);
    counts[partition] = (counts[partition] ?? 0) + 1;
  }
  for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(500);
});
