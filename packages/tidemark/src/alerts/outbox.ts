// What is owed to receivers. A row is put in with the transition that it tells of (alert-file.ts), and removed when the receiver
// has answered. Between the two it survives everything; what is repeated after a lost answer has the same identity. Per receiver
// and alert the order is kept: nobody hears that an alert is over before hearing that it began.
import type { Notification } from "./alert.ts";
import type { AlertFile } from "./alert-file.ts";
import type { ReceiverFacts } from "./observation.ts";

/** The most that are owed to one receiver; beyond it the oldest is given up, counted and told with the next delivery. */
const MOST_WAITING = 10_000;

/** What is older than this is given up: it is no news any more. */
const OLDEST_MS = 7 * 86_400_000;

/** No row is postponed further than this; one that seems to be is due: the clock was set back. */
export const LONGEST_POSTPONEMENT_MS = 5 * 60_000;

export interface Delivery {
  readonly transition: number;
  readonly attempts: number;
  /** It was refused in company: it goes by itself, so that it holds up nobody. */
  readonly alone: boolean;
  readonly notification: Notification;
}

export class Outbox {
  readonly #file: AlertFile;
  readonly #mostWaiting: number;
  readonly #listeners: (() => void)[] = [];

  constructor(file: AlertFile, limits: { mostWaiting?: number } = {}) {
    this.#file = file;
    this.#mostWaiting = limits.mostWaiting ?? MOST_WAITING;
  }

  /** `listener` is called after something was queued and is durable. */
  onQueued(listener: () => void): void {
    this.#listeners.push(listener);
  }

  announce(): void {
    for (const listener of this.#listeners) listener();
  }

  /** Within the transaction that records the transition. Answers how many older ones were given up for it. */
  queue(entry: { receiver: string; transition: number; fingerprint: string; nowMs: number }): number {
    const database = this.#file.database;
    database
      .prepare("INSERT INTO delivery (receiver, transition, fingerprint, queued_at_ms) VALUES (?, ?, ?, ?)")
      .run(entry.receiver, entry.transition, entry.fingerprint, Math.round(entry.nowMs));
    const { waiting } = database.prepare("SELECT count(*) AS waiting FROM delivery WHERE receiver = ?").get(entry.receiver) as {
      waiting: number;
    };
    const tooOld = database
      .prepare("DELETE FROM delivery WHERE receiver = ? AND queued_at_ms < ?")
      .run(entry.receiver, Math.round(entry.nowMs - OLDEST_MS));
    const tooMany =
      waiting <= this.#mostWaiting
        ? 0
        : database
            .prepare(
              "DELETE FROM delivery WHERE receiver = ? AND transition IN (SELECT transition FROM delivery WHERE receiver = ? ORDER BY transition LIMIT ?)",
            )
            .run(entry.receiver, entry.receiver, waiting - this.#mostWaiting).changes;
    const given = Number(tooOld.changes) + Number(tooMany);
    if (given > 0)
      database
        .prepare(
          "INSERT INTO receiver (name, given_up) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET given_up = given_up + excluded.given_up",
        )
        .run(entry.receiver, given);
    return given;
  }

  /** What may be delivered now, oldest first, at most one per alert. */
  due(receiver: string, nowMs: number, most: number): Delivery[] {
    const rows = this.#file.read(() =>
      this.#file.database
        .prepare(
          `SELECT d.transition, d.attempts, d.alone, t.body FROM delivery d JOIN transition t ON t.id = d.transition
           WHERE d.receiver = ? AND (d.not_before_ms <= ? OR d.not_before_ms > ?)
             AND NOT EXISTS (SELECT 1 FROM delivery e WHERE e.receiver = d.receiver AND e.fingerprint = d.fingerprint AND e.transition < d.transition)
           ORDER BY d.transition LIMIT ?`,
        )
        .all(receiver, Math.round(nowMs), Math.round(nowMs + LONGEST_POSTPONEMENT_MS), most),
    ) as { transition: number; attempts: number; alone: number; body: string }[];
    return rows.map(({ transition, attempts, alone, body }) => ({
      transition,
      attempts,
      alone: alone === 1,
      notification: { ...(JSON.parse(body) as Omit<Notification, "id">), id: this.#file.notificationId(transition) },
    }));
  }

  delivered(receiver: string, deliveries: readonly Delivery[]): void {
    this.#file.transaction(() => {
      const remove = this.#file.database.prepare("DELETE FROM delivery WHERE receiver = ? AND transition = ?");
      for (const { transition } of deliveries) remove.run(receiver, transition);
      this.#file.database.prepare("UPDATE receiver SET given_up = 0, last_error = NULL WHERE name = ?").run(receiver);
    });
  }

  /** A delivery failed: it is made again, not before `notBeforeMs`. */
  postponed(receiver: string, deliveries: readonly Delivery[], why: { notBeforeMs: number; alone: boolean; error: string }): void {
    this.#file.transaction(() => {
      const postpone = this.#file.database.prepare(
        "UPDATE delivery SET attempts = attempts + 1, not_before_ms = ?, alone = max(alone, ?) WHERE receiver = ? AND transition = ?",
      );
      for (const { transition } of deliveries) postpone.run(Math.round(why.notBeforeMs), why.alone ? 1 : 0, receiver, transition);
      this.#file.database
        .prepare(
          "INSERT INTO receiver (name, given_up, last_error) VALUES (?, 0, ?) ON CONFLICT (name) DO UPDATE SET last_error = excluded.last_error",
        )
        .run(receiver, why.error.slice(0, 500));
    });
  }

  facts(receiver: string, nowMs: number): ReceiverFacts & { readonly givenUp: number } {
    return this.#file.read(() => {
      const { waiting, oldest } = this.#file.database
        .prepare("SELECT count(*) AS waiting, min(queued_at_ms) AS oldest FROM delivery WHERE receiver = ?")
        .get(receiver) as { waiting: number; oldest: number | null };
      const row = this.#file.database.prepare("SELECT given_up, last_error FROM receiver WHERE name = ?").get(receiver) as
        | { given_up: number; last_error: string | null }
        | undefined;
      return {
        receiver,
        waiting,
        oldestMs: oldest === null ? 0 : Math.max(0, nowMs - oldest),
        givenUp: row?.given_up ?? 0,
        ...(row?.last_error == null ? {} : { lastError: row.last_error }),
      };
    });
  }

  /** Wall time at which the next delivery may be made, 0 for at once; undefined when nothing is owed. */
  nextDueMs(receiver: string): number | undefined {
    const { next } = this.#file.read(() =>
      this.#file.database
        .prepare(
          `SELECT min(d.not_before_ms) AS next FROM delivery d WHERE d.receiver = ?
             AND NOT EXISTS (SELECT 1 FROM delivery e WHERE e.receiver = d.receiver AND e.fingerprint = d.fingerprint AND e.transition < d.transition)`,
        )
        .get(receiver),
    ) as { next: number | null };
    return next ?? undefined;
  }

  /** Whether something of this alert is still owed to the receiver. */
  owes(receiver: string, fingerprint: string): boolean {
    return (
      this.#file.read(() =>
        this.#file.database.prepare("SELECT 1 FROM delivery WHERE receiver = ? AND fingerprint = ? LIMIT 1").get(receiver, fingerprint),
      ) !== undefined
    );
  }

  /** Drops what is owed to receivers that are not configured any more. Answers how many deliveries that were. */
  keepOnly(receivers: readonly string[]): number {
    const marks = receivers.map(() => "?").join(", ");
    return this.#file.transaction(() => {
      this.#file.database.prepare(`DELETE FROM receiver WHERE name NOT IN (${marks})`).run(...receivers);
      return Number(this.#file.database.prepare(`DELETE FROM delivery WHERE receiver NOT IN (${marks})`).run(...receivers).changes);
    });
  }
}
