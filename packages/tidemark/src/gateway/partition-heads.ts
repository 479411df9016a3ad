/** The newest record of each partition that the gateway has read or written: a partition without one has nothing to apply. */
export class PartitionHeads {
  readonly #heads = new Map<number, bigint>();

  /** Takes note of a record. In any order. */
  saw(record: { readonly partition: number; readonly sequence: bigint }): void {
    if (record.sequence > (this.#heads.get(record.partition) ?? 0n)) this.#heads.set(record.partition, record.sequence);
  }

  /** Partition and the sequence of its newest record. */
  entries(): Iterable<[number, bigint]> {
    return this.#heads.entries();
  }
}
