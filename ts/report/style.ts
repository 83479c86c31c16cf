/** How reports look: one style sheet, light and dark, for screens from a phone's up. */

const light = `
  --page: #fcfcfa; --card: #ffffff; --ink: #1c1d20; --soft: #62656d; --line: #e4e3de;
  --first: #1f6fd0; --second: #d9641c; --third: #7a7d86; --good: #1a7f4b; --bad: #b3372a;
`

export const style = `
:root {${light}}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --page: #15161a; --card: #1d1f24; --ink: #e8e8ea; --soft: #9da1ab; --line: #33363d;
    --first: #5ea2f2; --second: #ee8b4a; --third: #8d919c; --good: #58bd8b; --bad: #ef8276;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 66rem;
  background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
h1 { margin: 0; font-size: 1.9rem; line-height: 1.2; letter-spacing: -0.015em; }
h2 { margin: 3rem 0 0.75rem; font-size: 1.25rem; letter-spacing: -0.01em; }
h3 { margin: 1.75rem 0 0.6rem; font-size: 1rem; }
p { margin: 0.5rem 0; max-width: 46rem; }
.soft { color: var(--soft); font-size: 0.9rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: 0.75rem; margin: 1.75rem 0 0; }
.tile { padding: 0.9rem 1rem; background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.tile b { display: block; font-size: 1.7rem; font-weight: 600; line-height: 1.25; }
.tile span { display: block; color: var(--soft); font-size: 0.85rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.4rem 0.9rem 0.4rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
thead th { color: var(--soft); font-size: 0.85rem; font-weight: 500; vertical-align: bottom; }
tbody th, .facts th { font-weight: 500; }
.scores { width: 100%; min-width: 34rem; }
.scores td, .scores thead th + th { text-align: right; }
.scores .own { font-weight: 650; }
.facts { width: 100%; font-size: 0.9rem; }
.facts th { width: 15rem; color: var(--soft); }
.facts td { overflow-wrap: anywhere; }
.columns { columns: 2 22rem; column-gap: 2.5rem; }
.columns tr { break-inside: avoid; }
.bars { display: grid; grid-template-columns: max-content 1fr; gap: 0.5rem 1rem; align-items: center; max-width: 46rem; margin: 1rem 0; }
.bar { display: flex; align-items: center; gap: 0.6rem; font-variant-numeric: tabular-nums; }
.bar i { display: block; height: 1.1rem; min-width: 2px; border-radius: 0 4px 4px 0; background: var(--third); }
.bar.own i { background: var(--first); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1.25rem; }
.chart { margin: 0; padding: 0.9rem 1rem 0.6rem; background: var(--card); border: 1px solid var(--line); border-radius: 10px; min-width: 0; }
.chart figcaption { font-weight: 500; }
.chart .soft { font-weight: 400; }
.static svg { display: block; width: 100%; height: auto; }
.drawn .static { display: none; }
.uplot, .u-legend { color: var(--soft); font-family: inherit; }
.u-legend { font-size: 0.85rem; text-align: left; }
.u-legend th, .u-legend td { padding: 0.15rem 0.25rem 0.15rem 0; border: 0; font-weight: 400; }
.u-legend .u-value { color: var(--ink); }
.u-inline.u-live th::after { content: none; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(12rem, 1fr)); gap: 1rem; }
.picture { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: 10px; overflow: hidden; }
.picture .frame { display: flex; align-items: center; justify-content: center; height: 12rem; background: color-mix(in srgb, var(--line) 45%, var(--card)); color: var(--soft); font-size: 0.85rem; }
.shot { position: relative; display: block; }
.picture .shot img, .picture .frame > img { display: block; max-width: 100%; max-height: 12rem; width: auto; height: auto; }
.picture .shot .look { position: absolute; inset: 0; width: 100%; height: 100%; max-height: none; }
.picture .look[hidden] { display: none; }
.square { object-fit: contain; }
.caption:hover [data-word] { text-decoration: underline dotted var(--third); }
.looked { background: color-mix(in srgb, var(--first) 25%, var(--card)); }
.glances { display: grid; grid-template-columns: repeat(auto-fill, minmax(5rem, 1fr)); gap: 0.5rem; padding-top: 0.4rem; }
.glance { font-size: 0.8rem; line-height: 1.25; color: var(--soft); }
.glance > span { display: block; background: var(--line) center / 100% 100%; print-color-adjust: exact; }
.glance img { display: block; width: 100%; height: 100%; }
.picture figcaption { padding: 0.7rem 0.85rem 0.8rem; font-size: 0.9rem; line-height: 1.4; overflow-wrap: anywhere; }
.picture .caption { margin: 0 0 0.35rem; font-weight: 550; font-size: 0.95rem; }
.picture ul { margin: 0.3rem 0 0; padding-left: 1.1rem; color: var(--soft); }
summary { color: var(--soft); cursor: pointer; }
.right, .wrong { white-space: nowrap; }
.right { color: var(--good); }
.wrong { color: var(--bad); }
footer { margin-top: 3.5rem; padding-top: 1rem; border-top: 1px solid var(--line); color: var(--soft); font-size: 0.85rem; }
@media (max-width: 36rem) {
  body { padding: 1.5rem 1rem 3rem; }
  .facts th { width: 42%; }
  .bars { grid-template-columns: 1fr; gap: 0.15rem; }
  .bars .bar { margin-bottom: 0.5rem; }
  .gallery { grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: 0.75rem; }
  .glances { grid-template-columns: repeat(auto-fill, minmax(3.7rem, 1fr)); }
  .scores { min-width: 0; font-size: 0.8rem; }
  .scores th, .scores td { padding-right: 0.3rem; }
  .scores thead th { font-size: 0.7rem; }
}
@media print {
  :root { --page: #ffffff; }
  .columns { columns: 2; }
  body { max-width: none; padding: 0; font-size: 11pt; }
  h2, h3 { break-after: avoid; }
  .chart, .tile, .picture, tr { break-inside: avoid; }
  .drawn .plot { display: none; }
  .drawn .static { display: block; }
  .charts { grid-template-columns: 1fr 1fr; }
  .scroll { overflow: visible; }
}
`
