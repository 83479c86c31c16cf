/** The grounds that objects lie on: a soft gradient and a few strokes whose places come from the scene's `detail`. */
import { type Random, sceneRandom } from './random.js'
import type { Background } from './scene.js'

/** SVG elements that fill the square 0-64; ids begin with "ground". */
export function backdropSvg(background: Background, detail: number): string {
  const { top, bottom, details } = BACKDROPS[background]
  const fade =
    `<linearGradient id="ground" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="${top}"/>` +
    `<stop offset="1" stop-color="${bottom}"/></linearGradient>`
  return `${fade}<rect width="64" height="64" fill="url(#ground)"/>${details(sceneRandom(detail, 0, 1))}`
}

interface Backdrop {
  readonly top: string
  readonly bottom: string
  readonly details: (random: Random) => string
}

const BACKDROPS: Readonly<Record<Background, Backdrop>> = {
  grass: { top: '#c3e886', bottom: '#8fce5c', details: blades },
  sky: { top: '#4c9fe6', bottom: '#93cdf6', details: clouds },
  water: { top: '#0b7488', bottom: '#23a9b1', details: waves },
  table: { top: '#c8935c', bottom: '#dbac78', details: grain },
}

function blades(random: Random): string {
  const tuft = () => {
    const [x, y] = [tenth(64 * random()), tenth(64 * random())]
    return `M${x} ${y}l-.7-2M${x} ${y}l.2-2.6M${x} ${y}l1-1.8`
  }
  const tufts = (count: number) => Array.from({ length: count }, tuft).join('')
  return stroke(tufts(14), '#5f9f3a', 0.55, 0.4) + stroke(tufts(8), '#eaffc0', 0.55, 0.4)
}

// One path for all clouds: where puffs overlap, the white is not laid on twice.
function clouds(random: Random): string {
  const puff = (x: number, y: number, rx: number, ry: number) =>
    `M${tenth(x - rx)} ${tenth(y)}a${rx} ${ry} 0 1 1 ${2 * rx} 0a${rx} ${ry} 0 1 1-${2 * rx} 0`
  const cloud = (_: unknown, band: number) => {
    const [x, y] = [64 * random(), 6 + 20 * band + 10 * random()]
    return puff(x - 5, y + 1, 5, 1.9) + puff(x, y - 0.4, 5.5, 3) + puff(x + 6, y + 0.8, 5, 2)
  }
  const path = Array.from({ length: 3 }, cloud).join('')
  return `<path d="${path}" fill="#fff" fill-opacity=".28"/>`
}

function waves(random: Random): string {
  const wave = (_: unknown, row: number) => {
    const [x, y] = [tenth(-14 * random()), tenth(2 + 6.6 * row + 3 * random())]
    return `M${x} ${y}q3.5-2.4 7 0${'t7 0'.repeat(10)}`
  }
  const rows = Array.from({ length: 10 }, wave)
  const half = (odd: number) => rows.filter((_, row) => row % 2 === odd).join('')
  return stroke(half(0), '#fff', 0.5, 0.3) + stroke(half(1), '#043c4c', 0.6, 0.22)
}

function grain(random: Random): string {
  const planks = [0, 1, 2, 3].map((i) => tenth(8 + 16 * i + 3 * random()))
  const seams = planks.map((y) => `M0 ${y}H64`).join('')
  const fibre = () => {
    const [x, y] = [tenth(60 * random() - 8), tenth(64 * random())]
    return `M${x} ${y}q6-${tenth(0.8 * random())} 12 0t${tenth(8 + 10 * random())} 0`
  }
  const fibres = Array.from({ length: 22 }, fibre).join('')
  return stroke(fibres, '#7c4f24', 0.4, 0.35) + stroke(seams, '#6b4019', 0.7, 0.55)
}

function stroke(path: string, colour: string, width: number, opacity: number): string {
  return (
    `<path d="${path}" fill="none" stroke="${colour}" stroke-width="${width}" ` +
    `stroke-opacity="${opacity}" stroke-linecap="round"/>`
  )
}

function tenth(value: number): number {
  return Math.round(value * 10) / 10
}
