/** The style of the HTML report: no assets from elsewhere, light and dark, from a phone to a wide screen. */
export const STYLE = `
:root { color-scheme: light dark;
  --page: #f5f7f9; --card: #ffffff; --text: #16212b; --soft: #566573; --rule: #dde3e8;
  --good: #0a7a4b; --bad: #b3261e; --warn: #8a5a00; --good-soft: #e5f4ec; --bad-soft: #fbe9e7; --warn-soft: #fbf1dc;
  --one: #1f6fd6; --one-soft: #1f6fd61f; --two: #0b8a74; --three: #b0652b; --four: #7b58c4; --band: #b3261e14; }
@media (prefers-color-scheme: dark) { :root {
  --page: #0e1419; --card: #161e25; --text: #e4eaef; --soft: #9aa9b6; --rule: #2a353f;
  --good: #55cf95; --bad: #ff8a80; --warn: #f0b64e; --good-soft: #12301f; --bad-soft: #3a1a18; --warn-soft: #35270c;
  --one: #6aa9ff; --one-soft: #6aa9ff26; --two: #46cdb2; --three: #f0a468; --four: #b79bf2; --band: #ff8a8017; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1040px; margin: 0 auto; padding: 28px 20px 48px; }
h1 { font-size: clamp(1.5rem, 4.2vw, 2.1rem); line-height: 1.2; margin: 0; letter-spacing: -0.01em; }
h2 { font-size: 1.05rem; margin: 0 0 12px; }
p { margin: 0; }
.verdict { border-radius: 12px; padding: 24px 26px; border-left: 6px solid; margin-bottom: 20px; }
.verdict.good { background: var(--good-soft); border-color: var(--good); } .verdict.good h1 { color: var(--good); }
.verdict.bad { background: var(--bad-soft); border-color: var(--bad); } .verdict.bad h1 { color: var(--bad); }
.verdict.warn { background: var(--warn-soft); border-color: var(--warn); } .verdict.warn h1 { color: var(--warn); }
.verdict .what { margin-top: 10px; max-width: 46em; }
.verdict .meta { margin-top: 10px; color: var(--soft); font-size: 0.9rem; overflow-wrap: anywhere; }
.card { background: var(--card); border: 1px solid var(--rule); border-radius: 12px; padding: 20px 22px; margin-bottom: 20px; min-width: 0; }
.pair { display: grid; grid-template-columns: minmax(0, 1.15fr) minmax(0, 1fr); gap: 20px; align-items: start; }
.stack > .card:last-child { margin-bottom: 0; } .pair > * { margin-bottom: 20px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 6px 14px 6px 0; border-bottom: 1px solid var(--rule); vertical-align: baseline; font-weight: 400; }
tr:last-child > * { border-bottom: 0; } th:last-child, td:last-child { padding-right: 0; }
thead th { color: var(--soft); font-size: 0.85rem; }
.number { text-align: right; white-space: nowrap; } td.number { font-weight: 600; }
.note { color: var(--soft); font-size: 0.9rem; }
.tone-good { color: var(--good); } .tone-bad { color: var(--bad); } .tone-warn { color: var(--warn); }
.figure { font-size: 1.35rem; font-weight: 650; } .figures { display: grid; gap: 16px; }
.figures dt { color: var(--soft); font-size: 0.9rem; } .figures dd { margin: 0; } .figures { margin: 0; }
ul { margin: 0; padding-left: 1.2em; } li + li { margin-top: 7px; }
.legend { display: flex; flex-wrap: wrap; gap: 6px 20px; margin: 0 0 8px; padding: 0; list-style: none; color: var(--soft); font-size: 0.9rem; }
.legend li { margin: 0; display: flex; align-items: center; gap: 7px; } .legend i { width: 20px; height: 0; border-top: 3px solid; }
.legend .acknowledged { border-color: var(--one); } .legend .committed { border-color: var(--two); } .legend .median { border-color: var(--four); } .legend .slowest { border-color: var(--three); }
svg { display: block; width: 100%; height: auto; font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
.small-chart { display: none; }
.grid { stroke: var(--rule); } .tick { fill: var(--soft); } .panel { fill: var(--text); font-weight: 600; }
.line { fill: none; stroke-width: 1.8; stroke-linejoin: round; } .area { fill: var(--one-soft); } .band { fill: var(--band); }
.line.acknowledged { stroke: var(--one); } .line.committed { stroke: var(--two); } .line.median { stroke: var(--four); } .line.slowest { stroke: var(--three); }
.mark { stroke-width: 1.5; } .mark.fault { stroke: var(--bad); } .mark.recovered { stroke: var(--warn); stroke-dasharray: 4 3; } .mark.healed { stroke: var(--good); stroke-dasharray: 4 3; }
.label { font-weight: 600; } .label.fault { fill: var(--bad); } .label.recovered { fill: var(--warn); } .label.healed { fill: var(--good); }
details { margin-top: 12px; } summary { cursor: pointer; color: var(--soft); } .scroll { overflow-x: auto; max-height: 420px; overflow-y: auto; margin-top: 10px; }
code { font: 0.9em ui-monospace, SFMono-Regular, Menlo, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
a { color: var(--one); } :focus-visible { outline: 2px solid var(--one); outline-offset: 2px; }
@media (max-width: 760px) { .pair { grid-template-columns: minmax(0, 1fr); gap: 0; } .stack > .card:last-child { margin-bottom: 20px; } .pair > .stack { margin-bottom: 0; } }
@media (max-width: 620px) { main { padding: 14px 12px 32px; } .card, .verdict { padding: 16px; } .wide-chart { display: none; } .small-chart { display: block; }
  .counts td.note { display: block; padding-top: 0; } .counts tr { display: grid; grid-template-columns: 1fr auto; border-bottom: 1px solid var(--rule); padding: 5px 0; } .counts tr:last-child { border: 0; }
  .counts th, .counts td { border: 0; padding: 0; } .counts td.note { grid-column: 1 / -1; } .latency th, .latency td { padding-right: 8px; font-size: 0.9rem; } }
@media print { body { background: none; } .card { break-inside: avoid; } }
`;
