/** The outlines of the objects, as SVG paths about the origin, for a circle of radius 1 (see REACH in layout.ts). */
import { REACH } from './layout.js'
import type { Shape } from './scene.js'

/** `d` of a path for each shape. */
export const SHAPE_PATHS: Readonly<Record<Shape, string>> = {
  circle: 'M-1 0A1 1 0 1 1 1 0A1 1 0 1 1-1 0Z',
  square: polygon(4, [0.97 * REACH.square], 45),
  triangle: polygon(3, [REACH.triangle], 0),
  star: polygon(5, [REACH.star, 0.52 * REACH.star], 0),
  heart:
    'M0 1.08C-.5 .66-1.08 .2-1.08-.36C-1.08-1.1-.26-1.14 0-.52C.26-1.14 1.08-1.1 1.08-.36C1.08 .2 .5 .66 0 1.08Z',
  cross: 'M-.4-1.08H.4V-.4H1.08V.4H.4V1.08H-.4V.4H-1.08V-.4H-.4Z',
}

// `corners` times through the radii, clockwise from `start` degrees right of straight up.
function polygon(corners: number, radii: readonly number[], start: number): string {
  const steps = corners * radii.length
  const points = Array.from({ length: steps }, (_, i) => {
    const angle = ((start + (360 * i) / steps) * Math.PI) / 180
    const radius = radii[i % radii.length] ?? 0
    return `${(radius * Math.sin(angle)).toFixed(3)} ${(-radius * Math.cos(angle)).toFixed(3)}`
  })
  return `M${points.join('L')}Z`
}
