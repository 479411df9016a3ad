/**
 * Reads archived objects again, in turn, for as long as the archive stands: a store may lose or change what it once gave
 * back. The newest object is read at every turn, and one more, the one whose turn is longest ago. Each is compared with the
 * catalogue and opened, so that also the keys are known to fit.
 */
import { discard } from "@tidemark/kernel/discard";
import { hasCode, TidemarkError } from "@tidemark/kernel/errors";
import type { ObjectStore } from "../../object-stores/object-store.ts";
import type { ArchiveBook, FaultNote } from "./archive-book.ts";
import type { ArchiveWorld } from "./archive-options.ts";
import type { ArchivedObject } from "./catalogue.ts";
import { isCatalogueFault } from "./catalogue-file.ts";
import type { ObjectSealer } from "./object-sealer.ts";
import { isDamagedObject, isUnopened, objectDigest, type ObjectWriter } from "./object-writer.ts";
import { Pause } from "./pause.ts";
import { storeCall } from "./store-call.ts";
import type { StoreListing } from "./store-listing.ts";

/** More than an object should have is not read: it is another one. In bytes. */
const SLACK_BYTES = 1_048_576;

export interface CheckerParts {
  readonly name: string;
  readonly store: ObjectStore;
  readonly writer: ObjectWriter;
  readonly listing: StoreListing;
  readonly book: ArchiveBook;
  readonly sealer: ObjectSealer;
  /** Something may have to be stored again. */
  readonly onLost: () => void;
  readonly world: ArchiveWorld;
}

export class StoreChecker {
  readonly #parts: CheckerParts;
  readonly #pause: Pause;
  #below: ArchivedObject | undefined;

  constructor(parts: CheckerParts) {
    this.#parts = parts;
    this.#pause = new Pause(parts.world.clock);
  }

  /** Works until `signal` aborts. Rejects only when the catalogue fails. */
  async run(signal: AbortSignal): Promise<void> {
    const { book, name, listing, world } = this.#parts;
    const { clock, limits, logger } = world;
    let listAtMs = clock.monotonicMs();
    while (!signal.aborted) {
      let waitMs = limits.checkEveryMs;
      // Before the archiver has listed the store once, there is nothing to compare with.
      if (book.catalogue.storeKnown(name)) {
        try {
          if (clock.monotonicMs() >= listAtMs) {
            await listing.compare(signal);
            listAtMs = clock.monotonicMs() + limits.listEveryMs;
            this.#parts.onLost();
          }
          waitMs = await this.turn(signal);
        } catch (error) {
          if (signal.aborted) return;
          if (isCatalogueFault(error)) throw error;
          logger.warn({ err: error, store: name }, "archived objects could not be read again");
          waitMs = limits.longestPauseMs;
        }
      } else waitMs = limits.firstPauseMs;
      await this.#pause.wait(waitMs, signal);
    }
  }

  /**
   * One turn: the newest object, the one whose turn is longest ago, one that was never read and one that could not be opened. Returns when the next is
   * due, in milliseconds.
   */
  async turn(signal: AbortSignal): Promise<number> {
    const { book, name, world } = this.#parts;
    const newest = book.catalogue.newest(name);
    const longest = book.catalogue.longestUnchecked(name);
    const unread = book.catalogue.nextUnread(name, this.#below);
    // Those that cannot be opened are passed, and come again when the others have had their turn.
    this.#below = unread;
    const unopened = book.catalogue.nextUnopened(name);
    for (const object of new Map(
      [newest, longest, unread, unopened].flatMap((one) => (one === undefined ? [] : [[one.key, one]])),
    ).values()) {
      await this.check(object, signal);
    }
    const read = unread !== undefined && book.catalogue.object(name, unread.key)?.checkTurn !== 0;
    return read ? world.limits.unreadEveryMs : world.limits.checkEveryMs;
  }

  /** Reads an object whole and says what it is: right, gone, damaged, or not to be opened with these keys. */
  async check(object: ArchivedObject, signal: AbortSignal): Promise<void> {
    const { book, name, store, sealer, listing, onLost } = this.#parts;
    const still = (): boolean => book.catalogue.object(name, object.key)?.checkTurn === object.checkTurn;
    let bytes: Uint8Array | undefined;
    try {
      bytes = await this.#get(store, object, signal);
      if (object.objectSha256 !== undefined && objectDigest(bytes) !== object.objectSha256)
        throw new TidemarkError("TM-SEAL-DAMAGED", "it ends with another checksum than it had");
      const opened = await sealer.open(bytes, signal);
      book.keysWork(name);
      if (opened.header.rawSha256 !== object.rawSha256) throw new TidemarkError("TM-SEAL-DAMAGED", "it encloses other WAL than it did");
      discard(opened.raw);
      const facts = { objectBytes: bytes.length, objectSha256: objectDigest(bytes) };
      discard(bytes);
      if (still()) book.archived({ ...object, ...facts, checkTurn: book.catalogue.nextTurn() });
    } catch (error) {
      if (!still()) return;
      if (hasCode(error, "TM-OBJECT-MISSING")) {
        listing.missing(object);
        onLost();
      } else if (error instanceof TidemarkError && isDamagedObject(error)) {
        await this.#damaged(object, { error, bytes }, signal);
        onLost();
      } else if (error instanceof TidemarkError && isUnopened(error)) {
        // The bytes may be right; without the key nobody can say more. Its turn is over, its fault stays.
        const message = `${object.key} in ${name} cannot be opened: ${error.message}`;
        book.fault({ ...noteOf(name, object, message), code: error.code });
        if (object.checkTurn > 0) book.catalogue.putObject({ ...object, checkTurn: book.catalogue.nextTurn() });
      } else {
        book.keysFailed(name, error);
        throw error;
      }
    }
  }

  /** Read a second time before it is believed; then kept aside, and it does not count any more. */
  async #damaged(
    object: ArchivedObject,
    found: { error: TidemarkError; bytes: Uint8Array | undefined },
    signal: AbortSignal,
  ): Promise<void> {
    const { book, name, store, writer } = this.#parts;
    const again = await this.#get(store, object, signal).catch((error: unknown) => {
      if (isDamagedObject(error)) return undefined;
      throw error;
    });
    if (again !== undefined && found.bytes !== undefined && Buffer.compare(again, found.bytes) !== 0) {
      throw new TidemarkError("TM-OBJECT-STORE-AWAY", `${name} gave two different objects under ${object.key}`, { cause: found.error });
    }
    if (again !== undefined) await writer.keepDamaged(object.key, again, signal);
    const message = `${object.key} in ${name} is not what was archived: ${found.error.message}`;
    book.gone(object, { ...noteOf(name, object, message), code: "TM-VAULT-ARCHIVE-DAMAGED" });
  }

  #get(store: ObjectStore, object: ArchivedObject, signal: AbortSignal): Promise<Uint8Array> {
    const { clock, limits } = this.#parts.world;
    const maxBytes = object.objectBytes + SLACK_BYTES;
    const what = `get ${object.key} in ${this.#parts.name}`;
    return storeCall({ clock, timeoutMs: limits.callTimeoutMs, signal, what }, (own) => store.get(object.key, { maxBytes, signal: own }));
  }
}

function noteOf(where: string, object: ArchivedObject, message: string): Omit<FaultNote, "code"> {
  const { timeline, start, end } = object;
  return { where, subject: object.key, message, ...(start === end ? {} : { range: { timeline, start, end } }) };
}
