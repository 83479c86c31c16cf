/** The scripts and styles that draw charts in a browser: uPlot, read from its package, and our own of browser/. */
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { packageRoot } from '../native.js'
import type { Chart } from './charts.js'
import type { Page } from './page.js'

export interface ChartFiles {
  readonly library: string
  readonly libraryStyle: string
  /** Defines drawChart(). */
  readonly charts: string
}

/** uPlot and our drawing of charts with it. */
export async function chartFiles(): Promise<ChartFiles> {
  const { resolve } = createRequire(import.meta.url)
  const [library = '', libraryStyle = '', charts = ''] = await Promise.all(
    [
      resolve('uplot/dist/uPlot.iife.min.js'),
      resolve('uplot/dist/uPlot.min.css'),
      join(packageRoot, 'ts/report/browser/charts.js'),
    ].map((file) => readFile(file, 'utf8')),
  )
  return { library, libraryStyle, charts }
}

/** What a report's page needs to draw `charts` into its `.plot` elements, in order, and to show heat maps. */
export async function drawing(
  charts: readonly Chart[],
): Promise<Pick<Page, 'styles' | 'scripts' | 'data'>> {
  const files = await chartFiles()
  const own = await readFile(join(packageRoot, 'ts/report/browser/report.js'), 'utf8')
  return {
    styles: [files.libraryStyle],
    scripts: [files.library, files.charts, own],
    data: { id: 'charts', value: charts },
  }
}
