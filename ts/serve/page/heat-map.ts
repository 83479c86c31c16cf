/** A canvas that lies over a picture and dims what the model did not look at. */
import { make } from './element.js'
import { seenSquare } from './seen-square.js'
import { smoothMap } from './smooth-map.js'

export interface HeatMap {
  readonly canvas: HTMLCanvasElement
  show(weights: readonly number[], width: number, height: number): void
  hide(): void
}

/** Points of the smooth map along a side; the browser's own smoothing does the rest. */
const POINTS = 96
/** How dark a place becomes that the model took nothing from, 0 to 1. */
const SHADE = 0.74
const GLOW = 0.34

/** @param resize asked at each drawing, as another model may have captioned since */
export function createHeatMap(resize: () => 'squash' | 'crop'): HeatMap {
  const canvas = make('canvas', { className: 'heat', attributes: { 'aria-hidden': 'true' } })
  const layer = make('canvas')
  layer.width = layer.height = POINTS
  return {
    canvas,
    show(weights, width, height) {
      paintLayer(layer, smoothMap(weights, width, height, POINTS))
      canvas.width = Math.max(1, Math.round(canvas.clientWidth * devicePixelRatio))
      canvas.height = Math.max(1, Math.round(canvas.clientHeight * devicePixelRatio))
      const pen = canvas.getContext('2d')
      if (!pen) return
      const square = seenSquare(canvas.width, canvas.height, resize())
      pen.fillStyle = `rgb(12 12 20 / ${SHADE})`
      pen.fillRect(0, 0, canvas.width, canvas.height)
      pen.clearRect(square.x, square.y, square.width, square.height)
      pen.imageSmoothingQuality = 'high'
      pen.drawImage(layer, square.x, square.y, square.width, square.height)
      canvas.classList.add('shown')
    },
    hide() {
      canvas.classList.remove('shown')
    },
  }
}

/** From a dark shade where the map is cold to a faint warm glow where it is hot. */
function paintLayer(layer: HTMLCanvasElement, map: Float32Array): void {
  const pen = layer.getContext('2d')
  if (!pen) return
  const pixels = pen.createImageData(POINTS, POINTS)
  for (const [i, heat] of map.entries()) {
    const shade = SHADE * (1 - heat) ** 1.4
    const glow = GLOW * heat ** 2 * (1 - shade)
    const alpha = shade + glow
    const mix = (dark: number, warm: number) => (dark * shade + warm * glow) / (alpha || 1)
    pixels.data.set([mix(12, 255), mix(12, 176), mix(20, 46), 255 * alpha], 4 * i)
  }
  pen.putImageData(pixels, 0, 0)
}
