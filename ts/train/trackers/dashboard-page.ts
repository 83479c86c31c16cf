/** The files of the live page, by path: its HTML here, style, charts and script from the report and from browser/. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { packageRoot } from '../../native.js'
import { chartFiles } from '../../report/drawing.js'
import { style } from '../../report/style.js'

export interface PageFile {
  readonly type: string
  readonly body: string | Uint8Array
}

// Without a word of the run: that comes as data, which the script puts in as text.
const page = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>captioneer</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/uplot.css">
<link rel="stylesheet" href="/style.css">
</head>
<body>
<header><h1 id="name">captioneer</h1><p id="state" role="status">waiting for the first step</p></header>
<progress id="progress" max="1" value="0" aria-label="steps done"></progress>
<div class="tiles" id="tiles"></div>
<section><h2>Curves</h2><div class="charts" id="charts"></div></section>
<section id="samples" hidden><h2>Captions of validation images</h2><div class="gallery" id="gallery"></div></section>
<noscript><p>This page needs JavaScript; the same figures are in history.jsonl of the run folder.</p></noscript>
<script src="/uplot.js"></script>
<script src="/charts.js"></script>
<script src="/dashboard.js"></script>
</body>
</html>
`

const ownStyle = `
progress { width: 100%; height: 0.5rem; margin: 1rem 0 0; accent-color: var(--first); }
.lost { color: var(--bad); }
`

export async function dashboardFiles(): Promise<ReadonlyMap<string, PageFile>> {
  const { library, libraryStyle, charts } = await chartFiles()
  const script = await readFile(join(packageRoot, 'ts/report/browser/dashboard.js'), 'utf8')
  const utf8 = (type: string, body: string): PageFile => ({ type: `${type}; charset=utf-8`, body })
  return new Map([
    ['/', utf8('text/html', page)],
    ['/style.css', utf8('text/css', style + ownStyle)],
    ['/uplot.css', utf8('text/css', libraryStyle)],
    ['/uplot.js', utf8('text/javascript', library)],
    ['/charts.js', utf8('text/javascript', charts)],
    ['/dashboard.js', utf8('text/javascript', script)],
  ])
}
