// The way through the timelines to the newest one: which of them holds which bytes. WAL of an ancestor past the fork is not on it.
import type { Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import type { TimelineSwitch } from "@tidemark/postgres/timeline-history";

export interface TrailPiece {
  readonly timeline: Timeline;
  readonly from: Lsn;
  /** Where the next timeline begins; undefined for the newest. */
  readonly to: Lsn | undefined;
}

export class WalTrail {
  /** Oldest first; at least one. */
  readonly pieces: readonly TrailPiece[];

  /** @param history the ancestors of `timeline`, oldest first. */
  constructor(timeline: Timeline, history: readonly TimelineSwitch[]) {
    let from = 0n as Lsn;
    const pieces: TrailPiece[] = [];
    for (const step of history) {
      pieces.push({ timeline: step.timeline, from, to: step.switchLsn });
      from = step.switchLsn;
    }
    this.pieces = [...pieces, { timeline, from, to: undefined }];
  }

  get newest(): TrailPiece {
    return this.pieces.at(-1) as TrailPiece;
  }

  /** Which timeline the byte at `lsn` is on. */
  pieceAt(lsn: Lsn): TrailPiece {
    return this.pieces.findLast((piece) => piece.from <= lsn) as TrailPiece;
  }

  /**
   * How far WAL is there when the newest timeline was received up to `received`. Its first segment is received from the
   * segment's beginning, which repeats its parent's WAL; the parent's own was received to the fork before.
   */
  reach(received: Lsn): Lsn {
    return received > this.newest.from ? received : this.newest.from;
  }

  /** Where the two part; undefined when they do not. */
  parting(other: WalTrail): Lsn | undefined {
    for (let index = 0; ; index++) {
      const mine = this.pieces[index];
      const others = other.pieces[index];
      if (mine === undefined || others === undefined) return undefined;
      if (mine.timeline !== others.timeline) return mine.from;
      if (mine.to === others.to) continue;
      if (mine.to === undefined) return others.to;
      return others.to === undefined || mine.to < others.to ? mine.to : others.to;
    }
  }
}
