/** Gives a primitive a name of its own, so that an LSN is not taken for an epoch. Exists in types only. */
export type Brand<T, Name extends string> = T & { readonly __brand: Name };

/** The number of a primary's reign. Only grows; everything that writes carries it. Starts at 1. */
export type Epoch = Brand<number, "Epoch">;

/** A PostgreSQL timeline, 1 and up (uint32). */
export type Timeline = Brand<number, "Timeline">;

/** PostgreSQL's 64-bit cluster identity, as decimal text: it does not fit a JavaScript number. */
export type SystemIdentifier = Brand<string, "SystemIdentifier">;

/** The place of a record in a journal: unique and growing over all partitions, from 1, without a gap. */
export type Sequence = Brand<bigint, "Sequence">;

/** A journal's identity: a UUID that stands in each of its segments (R12). */
export type JournalId = Brand<string, "JournalId">;

/** A partition's number, from 0. A partition keeps the order of the keys that hash to it. */
export type Partition = Brand<number, "Partition">;
