import { describe, expect, it } from "vitest";
import { sampleReport } from "../testing/sample-report.ts";
import { niceCeiling } from "./chart.ts";
import { renderHtml } from "./html.ts";
import { plainPaint, renderSummary, renderVerdict, wrap } from "./terminal.ts";

const report = sampleReport();
const failed = sampleReport({ lose: 3 });
const files = [{ label: "report", path: "/a/rather/long/path/to/the/place/where/reports/lie/20260202-kill-primary/report.html" }];

describe("the verdict on a terminal", () => {
  it("fits 80 and 50 columns, but for paths, which are never broken", () => {
    for (const columns of [50, 80, 120]) {
      for (const one of [report, failed]) {
        const lines = renderVerdict(one, files, { columns, paint: plainPaint }).split("\n");
        expect(lines.filter((line) => line.length > columns && !line.includes("/a/rather"))).toEqual([]);
      }
    }
  });

  it("says first whether anything was lost", () => {
    expect(renderVerdict(report, [], { columns: 80, paint: plainPaint })).toContain("Nothing was lost, nothing came twice.");
    expect(renderVerdict(failed, [], { columns: 80, paint: plainPaint })).toContain("Failed: 3 lost");
  });

  it("names every word of a verdict, also at 0", () => {
    const text = renderVerdict(report, [], { columns: 80, paint: plainPaint });
    for (const word of [
      "acknowledged",
      "found",
      "lost",
      "duplicated",
      "resurrected",
      "indeterminate",
      "rejected",
      "refused",
      "RPO",
      "RTO",
      "p50",
      "p99",
      "before",
      "during",
      "after",
    ])
      expect(text).toMatch(new RegExp(`^ +${word}|${word}`, "m"));
  });

  it("says which copy saved what: the vault, or else the journal", () => {
    const copies = { committed: 1_200, onStandby: 700, fromVault: { orders: 500, commits: 41 }, method: "" };
    const completion = { from: "vault1", lsn: "0/4000000", target: "0/4012345", bytes: 74_565 };
    const putBack = { orders: 0, commits: 0, method: "" };
    const text = renderVerdict({ ...report, copies, completion, putBack }, [], { columns: 200, paint: plainPaint });
    expect(text).toContain("Nothing was lost: the vault had what the standby lacked.");
    expect(text).toContain("the standby had 700; 500 came from the vault, in 41 commits.");
    expect(text).toContain("pg2 was given 74,565 bytes of WAL by vault1, from 0/4000000 to 0/4012345.");
    expect(text).toContain("the journal had nothing to put back");
    const healed = renderVerdict({ ...report, putBack: { ...putBack, orders: 9, commits: 2 } }, [], { columns: 200, paint: plainPaint });
    expect(healed).toContain("the journal put back what PostgreSQL lost");
  });

  it("says how far the vault got, and never that it has all when it has not", () => {
    const vault = {
      name: "vault1",
      state: "streaming",
      flushedLsn: "0/5",
      primaryLsn: "0/9",
      caughtUp: false,
      gaps: [],
      faults: ["TM-VAULT-GAP: x"],
    };
    const text = renderVerdict({ ...report, vault }, [], { columns: 200, paint: plainPaint });
    expect(text).toContain("the vault had WAL up to 0/5, the primary up to 0/9");
    expect(text).toContain("TM-VAULT-GAP: x");
    expect(
      renderVerdict({ ...report, vault: { ...vault, caughtUp: true, faults: [] } }, [], { columns: 200, paint: plainPaint }),
    ).toContain("the vault had all WAL that the primary had flushed, without a gap");
  });

  it("puts one line for each fault into the summary, within the columns", () => {
    const rows = [
      { fault: "kill-primary", exitCode: 0, report },
      { fault: "lagging-standby", exitCode: 1, report: failed },
      { fault: "kill-agent", exitCode: 4, trouble: "the stack did not become ready within 60 seconds, see the logs" },
    ];
    for (const columns of [50, 80])
      expect(
        renderSummary(rows, { columns, paint: plainPaint })
          .split("\n")
          .every((line) => line.length <= columns),
      ).toBe(true);
    expect(renderSummary(rows, { columns: 80, paint: plainPaint })).toMatch(/kill-agent +could not run/);
  });

  it("wraps at spaces and never breaks a word", () => {
    expect(wrap("one two three fourfourfour", 8)).toEqual(["one two", "three", "fourfourfour"]);
  });
});

describe("the HTML report", () => {
  it("needs nothing from elsewhere and runs no script", () => {
    const html = renderHtml(report);
    expect(html).not.toMatch(/<script|<link|<img|@import|https?:\/\/|url\(/);
  });

  it("shows what came from outside as text", () => {
    const html = renderHtml({ ...report, fault: { ...report.fault, summary: '<b onclick="x">&</b>' } });
    expect(html).toContain("&lt;b onclick=&quot;x&quot;&gt;&amp;&lt;/b&gt;");
    expect(html).not.toContain("<b onclick");
  });

  it("names the writes that do not fit", () => {
    expect(renderHtml(failed)).toContain("acknowledged and not there");
    expect(renderHtml(report)).not.toContain("Writes that do not fit");
  });

  it("draws only finite coordinates, whatever the run", () => {
    const empty = {
      ...report,
      timeline: { startMs: 0, sliceMs: 100, acknowledged: [0], committed: [0], refused: [0], p50Ms: [null], maxMs: [null] },
    };
    for (const one of [report, failed, empty]) expect(renderHtml(one)).not.toMatch(/NaN|Infinity|undefined/);
  });

  it("has a text for each drawing and a table behind it", () => {
    const html = renderHtml(report);
    expect(html.match(/role="img" aria-labelledby="(\w+)-t \1-d"/g)).toHaveLength(2);
    expect(html).toContain("The figures of the drawing");
  });

  it("takes a round number as the top of an axis", () => {
    expect([1, 3, 299, 301, 1_000, 4_100].map(niceCeiling)).toEqual([1, 4, 400, 400, 1_000, 5_000]);
  });
});
