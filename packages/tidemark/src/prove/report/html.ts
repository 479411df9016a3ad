import { drawChart } from "./chart.ts";
import type { Phase } from "./figures.ts";
import { STYLE } from "./html-style.ts";
import { escapeHtml as text } from "./html-text.ts";
import { formatCount, formatMeasured } from "./numbers.ts";
import type { ProofReport } from "./report.ts";
import { countLines, findings, headline, measuredLines } from "./words.ts";

const PHASES: readonly { readonly phase: Phase; readonly label: string }[] = [
  { phase: "before", label: "before the fault" },
  { phase: "during", label: "until healed" },
  { phase: "after", label: "after that" },
];

/** The report as one HTML file that needs nothing else. */
export function renderHtml(report: ProofReport): string {
  const { text: title, tone } = headline(report);
  const began = new Date(report.marks.startMs).toISOString().replace("T", " ").slice(0, 19);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="tidemark prove">
<title>${text(report.fault.name)}: ${text(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<header class="verdict ${tone}">
<h1>${text(title)}</h1>
<p class="what"><strong>${text(report.fault.name)}</strong>: ${text(report.fault.summary)}</p>
${findings(report)
  .map((finding) => `<p class="what">${text(finding)}</p>`)
  .join("\n")}
<p class="meta">Run <code>${text(report.run)}</code>, ${began} UTC, ${formatCount(report.settings.ratePerSecond)} orders a second, seed ${report.settings.seed}</p>
</header>
<div class="pair">
${countsCard(report)}
<div class="stack">
${measuresCard(report)}
${latencyCard(report)}
</div>
</div>
${chartCard(report)}
${namedCard(report)}
<div class="pair">
<section class="card"><h2>What this shows</h2>${list(report.proven.length === 0 ? ["Nothing."] : report.proven)}</section>
<section class="card"><h2>What it does not show</h2>${list(report.notProven)}</section>
</div>
${detailsCard(report)}
</main>
</body>
</html>
`;
}

function countsCard(report: ProofReport): string {
  const rows = countLines(report).map(
    ({ label, count, note, tone }) =>
      `<tr><th scope="row">${text(label)}</th><td class="number tone-${tone}">${formatCount(count)}</td><td class="note">${text(note)}</td></tr>`,
  );
  return `<section class="card"><h2>Every order, counted</h2><table class="counts"><tbody>${rows.join("")}</tbody></table></section>`;
}

function measuresCard(report: ProofReport): string {
  const figures = measuredLines(report).map(({ label, value, target, met, method }) => {
    const tone = met === undefined ? "warn" : met ? "good" : "bad";
    const word = met === undefined ? "" : met ? "met" : "missed";
    return `<div><dt>${label} measured, target ${text(target)}</dt><dd><span class="figure tone-${tone}">${text(value)}</span> <span class="tone-${tone}">${word}</span><p class="note">${text(method)}</p></dd></div>`;
  });
  return `<section class="card"><h2>Recovery</h2><dl class="figures">${figures.join("")}</dl></section>`;
}

function latencyCard(report: ProofReport): string {
  const rows = PHASES.map(({ phase, label }) => {
    const figures = report.acknowledgements[phase];
    const cells = [figures.p50Ms, figures.p99Ms, figures.maxMs].map(
      (ms) => `<td class="number">${ms === undefined ? "–" : text(formatMeasured(ms))}</td>`,
    );
    return `<tr><th scope="row">${label}</th>${cells.join("")}</tr>`;
  });
  const without = PHASES.reduce(
    (sum, { phase }) => sum + report.acknowledgements[phase].refused + report.acknowledgements[phase].unanswered,
    0,
  );
  return `<section class="card"><h2>Acknowledged after</h2><table class="latency"><thead><tr><td></td><th scope="col" class="number">p50</th><th scope="col" class="number">p99</th><th scope="col" class="number">slowest</th></tr></thead><tbody>${rows.join("")}</tbody></table><p class="note">From the moment an order was due to its receipt. ${without === 0 ? "None was turned away or left unanswered." : `${formatCount(without)} turned away or unanswered have no latency.`}</p></section>`;
}

function chartCard(report: ProofReport): string {
  const { timeline, marks } = report;
  const recovery =
    report.stack.epochAfter !== report.stack.epochBefore
      ? { label: "first commit on the new primary", atMs: marks.faultBeganMs + (report.rto.ms ?? 0) }
      : undefined;
  const input = {
    timeline,
    marks,
    faultLabel: report.fault.name,
    ...(recovery === undefined || report.rto.ms === undefined ? {} : { recovered: recovery }),
  };
  const rows = timeline.acknowledged.map((acknowledged, slice) => {
    const seconds = ((timeline.startMs + slice * timeline.sliceMs - marks.faultBeganMs) / 1_000).toFixed(1);
    const latency = [timeline.p50Ms[slice], timeline.maxMs[slice]].map(
      (ms) => `<td class="number">${ms === null || ms === undefined ? "–" : ms.toFixed(1)}</td>`,
    );
    return `<tr><th scope="row" class="number">${seconds}</th><td class="number">${acknowledged}</td><td class="number">${timeline.committed[slice] ?? 0}</td>${latency.join("")}</tr>`;
  });
  const note =
    report.putBack === undefined || report.putBack.orders === 0
      ? ""
      : `<p class="note">Nothing seems to be committed shortly before the fault: those commits were lost with the old primary. In the peak after it the journal puts them back.</p>`;
  return `<section class="card"><h2>The run</h2>
<ul class="legend"><li><i class="acknowledged"></i>acknowledged</li><li><i class="committed"></i>committed in PostgreSQL</li><li><i class="median"></i>median latency</li><li><i class="slowest"></i>slowest</li></ul>
<div class="wide-chart">${drawChart(input, { width: 960, id: "wide" })}</div><div class="small-chart">${drawChart(input, { width: 400, id: "small" })}</div>
${note}<details><summary>The figures of the drawing</summary><div class="scroll" tabindex="0"><table><thead><tr><th scope="col" class="number">s from the fault</th><th scope="col" class="number">acknowledged</th><th scope="col" class="number">committed</th><th scope="col" class="number">median ms</th><th scope="col" class="number">slowest ms</th></tr></thead><tbody>${rows.join("")}</tbody></table></div></details></section>`;
}

function namedCard(report: ProofReport): string {
  const kinds = Object.entries(report.verdict.named).filter(([, writes]) => writes.length > 0);
  if (kinds.length === 0) return "";
  const rows = kinds.flatMap(([kind, writes]) =>
    writes.map(
      (write) =>
        `<tr><th scope="row">${text(kind)}</th><td><code>${text(write.order)}</code></td><td class="number">${text(write.sequence ?? "–")}</td><td class="note">${text(write.note)}</td></tr>`,
    ),
  );
  return `<section class="card"><h2>Writes that do not fit</h2><div class="scroll" tabindex="0"><table><thead><tr><th scope="col">what</th><th scope="col">order</th><th scope="col" class="number">sequence</th><th scope="col">how</th></tr></thead><tbody>${rows.join("")}</tbody></table></div><p class="note">At most 20 of a kind; report.json has the counts, ledger.ndjson every write.</p></section>`;
}

function detailsCard(report: ProofReport): string {
  const { stack, machine } = report;
  const facts: [string, string][] = [
    ["fault", report.fault.done.join(" ")],
    [
      "stack",
      `PostgreSQL ${stack.postgres}, two nodes${stack.vault ? " and a vault" : ""}, ${stack.required === 0 ? "asynchronous" : "synchronous"} (required: ${stack.required}), policy ${stack.policy}; the load in a process of its own`,
    ],
    ["primary", `${stack.primaryBefore} in epoch ${stack.epochBefore}, then ${stack.primaryAfter} in epoch ${stack.epochAfter}`],
    [
      "machine",
      `${machine.system}, ${machine.processors} processors, ${Math.round(machine.memoryBytes / 2 ** 30)} GiB, Node.js ${machine.node}`,
    ],
  ];
  const rows = facts.map(([name, value]) => `<tr><th scope="row">${name}</th><td>${text(value)}</td></tr>`);
  return `<section class="card"><h2>How it was done</h2><table><tbody>${rows.join("")}</tbody></table><p class="note" style="margin-top:12px">Beside this file: <a href="report.json">report.json</a>, the counts and figures; <a href="ledger.ndjson">ledger.ndjson</a>, every order and its receipt; <a href="proof.json">proof.json</a>, signed (<code>tidemark proof verify proof.json</code>).</p></section>`;
}

function list(items: readonly string[]): string {
  return `<ul>${items.map((item) => `<li>${text(item)}</li>`).join("")}</ul>`;
}
