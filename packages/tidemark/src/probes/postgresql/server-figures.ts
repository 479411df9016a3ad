// Figures of one server that are the same for a primary and a standby.
import { clockIsOff } from "../../canary/clock-comparison.ts";
import type { Figure } from "../probe-result.ts";
import { known, unknown } from "../probe-result.ts";
import type { Look } from "./node-looks.ts";
import { notGrantedTo } from "./node-looks.ts";
import type { Slot } from "./postgresql-answers.ts";

export function serverFigures(look: Look, answer: { slots: readonly Slot[]; oldestTransactionMs: number }): Record<string, Figure<number>> {
  const { settings, atMs, sentMs } = look;
  const said = (value: number): Figure<number> => known(value, { atMs, method: "reported", errorMs: atMs - sentMs });
  const safe = answer.slots.flatMap((slot) => (slot.safeBytes === undefined ? [] : [Number(slot.safeBytes)]));
  const off = clockIsOff(look.clockOffset);
  return {
    postgresql_clock_offset_ms: look.clockOffset,
    postgresql_clock_alarm: off === undefined ? unknown("the clocks' difference is not known well enough", atMs) : said(off ? 1 : 0),
    postgresql_oldest_transaction_ms: settings.seesStatistics
      ? said(answer.oldestTransactionMs)
      : unknown(notGrantedTo(look.settings, "pg_read_all_stats"), atMs),
    postgresql_slots: said(answer.slots.length),
    postgresql_slots_inactive: said(answer.slots.filter((slot) => !slot.active && slot.invalidation === undefined).length),
    postgresql_slots_losing_wal: said(answer.slots.filter((slot) => slot.walStatus === "unreserved" || slot.walStatus === "lost").length),
    // Without a limit no slot can lose WAL: there is no least then.
    ...(safe.length === 0 ? {} : { postgresql_slot_least_safe_bytes: said(Math.max(0, Math.min(...safe))) }),
    postgresql_wal_folder_bytes: map(look.walFolder, ({ bytes }) => bytes),
    postgresql_data_bytes: look.dataBytes,
    ...switches(look, said),
  };
}

function switches(look: Look, said: (value: number) => Figure<number>): Record<string, Figure<number>> {
  const figures: Record<string, Figure<number>> = {};
  for (const name of ["fsync", "full_page_writes", "data_checksums"]) {
    const value = look.settings.settings[name];
    figures[`postgresql_${name}`] =
      value === undefined ? unknown(`the server does not show ${name}`, look.atMs) : said(value === "on" ? 1 : 0);
  }
  return figures;
}

export function map<A, B>(figure: Figure<A>, by: (value: A) => B): Figure<B> {
  return figure.known ? { ...figure, value: by(figure.value) } : figure;
}
