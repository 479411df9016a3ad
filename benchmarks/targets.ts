import { cellFigures, sameCell, type Cell, type CellFigures, type CellResult } from "./cell.ts";

/** One target of the project, judged. */
export interface Judgement {
  readonly target: string;
  /** What was measured, in words with numbers. */
  readonly measured: string;
  readonly met: boolean | undefined;
}

type Find = (cell: Cell) => CellFigures | undefined;

/** Judges every target of throughput and latency. `met` is undefined where a figure is missing. */
export function judgeTargets(results: readonly CellResult[]): Judgement[] {
  const find: Find = (cell) => {
    const found = results.find((result) => sameCell(result.cell, cell));
    return found === undefined || found.runs.length === 0 ? undefined : cellFigures(found.runs);
  };
  const insert = (writers: number): CellFigures | undefined => find({ contender: "insert", writers, mode: "none" });
  const sdk = (writers: number, mode: "burst" | "sustained"): CellFigures | undefined => find({ contender: "sdk", writers, mode });
  const rabbitmq = (writers: number): CellFigures | undefined => find({ contender: "rabbitmq", writers, mode: "none" });
  const ndjson = (mode: "burst" | "sustained"): CellFigures | undefined =>
    fastest(
      [1, 64, 512].map((writers) => find({ contender: "ndjson", writers, mode })),
      mode,
    );
  const fastDrain = fastest([find({ contender: "ndjson", writers: 64, mode: "burst" }), sdk(512, "burst")], "drain");
  return [
    latency(
      "One writer: the median acknowledgement within 1.2 × of the INSERT through pg (plain HTTP)",
      find({ contender: "http", writers: 1, mode: "burst" }),
      insert(1),
    ),
    latency("The same through the SDK", sdk(1, "burst"), insert(1)),
    ratio(
      "SDK, 64 writers, while draining: at least 2 × the INSERTs of 64 connections (lower of acknowledging and draining)",
      sdk(64, "sustained")?.sustained,
      insert(64)?.acknowledged,
      2,
    ),
    ratio(
      "SDK, 64 writers, applier paused: level with the RabbitMQ quorum queue",
      sdk(64, "burst")?.acknowledged,
      rabbitmq(64)?.acknowledged,
      0.95,
    ),
    ratio(
      "SDK, 512 writers, applier paused: ahead of the RabbitMQ quorum queue",
      sdk(512, "burst")?.acknowledged,
      rabbitmq(512)?.acknowledged,
      1,
    ),
    ratio(
      "NDJSON batches while draining: at least 5 × the INSERTs of 64 connections (acknowledging)",
      ndjson("sustained")?.acknowledged,
      insert(64)?.acknowledged,
      5,
    ),
    ratio(
      "NDJSON batches in a burst: at least 10 × the INSERTs of 64 connections",
      ndjson("burst")?.acknowledged,
      insert(64)?.acknowledged,
      10,
    ),
    ratio("The applier drains at least 2 × the INSERTs of 64 connections", fastDrain?.drained, insert(64)?.acknowledged, 2),
  ];
}

function fastest(figures: readonly (CellFigures | undefined)[], by: "burst" | "sustained" | "drain"): CellFigures | undefined {
  const value = (one: CellFigures): number => (by === "drain" ? (one.drained ?? 0) : one.acknowledged);
  return figures
    .filter((one) => one !== undefined)
    .reduce<CellFigures | undefined>((best, one) => (best === undefined || value(one) > value(best) ? one : best), undefined);
}

function ratio(target: string, mine: number | undefined, theirs: number | undefined, least: number): Judgement {
  if (mine === undefined || theirs === undefined) return { target, measured: "not measured", met: undefined };
  return {
    target,
    measured: `${perSecond(mine)} against ${perSecond(theirs)}: ${(mine / theirs).toFixed(2)} ×`,
    met: mine / theirs >= least,
  };
}

function latency(target: string, mine: CellFigures | undefined, theirs: CellFigures | undefined): Judgement {
  if (mine === undefined || theirs === undefined) return { target, measured: "not measured", met: undefined };
  const times = mine.p50Ms / theirs.p50Ms;
  return {
    target,
    measured: `${mine.p50Ms.toFixed(2)} ms against ${theirs.p50Ms.toFixed(2)} ms: ${times.toFixed(2)} ×`,
    met: times <= 1.2,
  };
}

export function perSecond(rate: number): string {
  const rounded = rate >= 10_000 ? Math.round(rate / 100) * 100 : rate >= 1_000 ? Math.round(rate / 10) * 10 : Math.round(rate);
  return `${rounded.toLocaleString("en")}/s`;
}
