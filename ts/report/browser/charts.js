/** Draws charts with uPlot, in a report and on the live page. The page has loaded uPlot as `uPlot` before. */

/**
 * Puts a chart into `place` and keeps it as wide as that is.
 * @param chart title, unit, kind ('line' or 'bars'), fromZero, x and series, as ts/report/charts.ts makes them
 * @returns a function that shows new values of the same series
 */
// biome-ignore lint/correctness/noUnusedVariables: called by the scripts after this one
function drawChart(place, chart) {
  // Looked up when drawing, so that a change between light and dark needs only a redraw.
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim()
  const short = (value) => {
    if (value == null) return ''
    const tiny = value !== 0 && Math.abs(value) < 0.001
    return tiny ? value.toExponential(1) : String(+value.toPrecision(4))
  }
  const axis = (size) => ({
    stroke: () => colour('--soft'),
    grid: { stroke: () => colour('--line'), width: 1 },
    ticks: { show: false },
    font: '12px system-ui, sans-serif',
    size,
  })
  // The legend of curves tells their last values while nothing is pointed at.
  const shown = (plot, value, series, place) => {
    if (place != null) return short(value) || '–'
    return bars ? '' : short(plot.data[series].findLast((one) => one != null))
  }
  const bars = chart.kind === 'bars'
  const step = bars && chart.x.length > 1 ? chart.x[1] - chart.x[0] : 1
  const height = 210
  const options = {
    width: place.clientWidth || 400,
    height,
    scales: {
      x: bars
        ? { time: false, range: (_, low, high) => [low - step / 2, high + step / 2] }
        : { time: false },
      y: chart.fromZero ? { range: (_, _low, high) => [0, high > 0 ? high * 1.08 : 1] } : {},
    },
    cursor: { y: false },
    axes: [axis(30), { ...axis(58), values: (_, ticks) => ticks.map(short) }],
    series: [
      { label: chart.xLabel, value: shown },
      ...chart.series.map(({ label, colour: name, points }, i) => ({
        label,
        stroke: () => colour(name),
        width: bars ? 0 : 1.6,
        spanGaps: true,
        value: shown,
        points: { show: points, size: 5, fill: () => colour(name), width: 0 },
        ...(bars && {
          fill: () => colour(name),
          // Two series stand beside each other within one bin.
          paths: uPlot.paths.bars({
            size: [chart.series.length > 1 ? 0.42 : 0.85],
            align: chart.series.length > 1 ? (i === 0 ? -1 : 1) : 0,
          }),
        }),
      })),
    ],
  }
  const dataOf = ({ x, series }) => [x, ...series.map(({ values }) => values)]
  const plot = new uPlot(options, dataOf(chart), place)
  const resize = () => plot.setSize({ width: place.clientWidth, height })
  new ResizeObserver(() => place.clientWidth > 0 && resize()).observe(place)
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => plot.redraw())
  return (next) => plot.setData(dataOf(next))
}
