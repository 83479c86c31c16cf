/** A small map of weights made large and smooth, without the blocks or lines that a picture stretched so far would show. */

/**
 * Cubic B-spline through the cells' centres (Unser, "Splines: a perfect fit", 1999, equation 2); at the edges the outer
 * cells go on.
 * @param map     [height * width], rows from the top
 * @returns [size * size], from 0, where a cell of no weight would be, to 1, the largest
 */
export function smoothMap(
  map: readonly number[],
  width: number,
  height: number,
  size: number,
): Float32Array {
  const across = spline(width, size)
  const down = spline(height, size)
  const smooth = new Float32Array(size * size)
  for (let y = 0; y < size; y++)
    for (let x = 0; x < size; x++) {
      let sum = 0
      for (const [row, share] of down[y] ?? [])
        for (const [column, part] of across[x] ?? [])
          sum += share * part * (map[row * width + column] ?? 0)
      smooth[y * size + x] = sum
    }
  const largest = smooth.reduce((most, value) => Math.max(most, value), 0)
  return largest > 0 ? smooth.map((value) => value / largest) : smooth
}

/** For each of `size` points the four cells of `cells` that it lies among, and the share of each. */
function spline(cells: number, size: number): (readonly [cell: number, share: number])[][] {
  return Array.from({ length: size }, (_, i) => {
    const at = ((i + 0.5) / size) * cells - 0.5
    const low = Math.floor(at)
    const t = at - low
    const shares = [
      (1 - t) ** 3 / 6,
      (4 - 6 * t ** 2 + 3 * t ** 3) / 6,
      (1 + 3 * t + 3 * t ** 2 - 3 * t ** 3) / 6,
      t ** 3 / 6,
    ]
    return shares.map((share, k) => [Math.min(Math.max(low - 1 + k, 0), cells - 1), share] as const)
  })
}
