/** How many images may be captioned together so that each caption is the same, to the last bit, as alone. */
import type { decodingOptions } from '../decoding/options.js'
import type { CaptionModel } from '../models/model.js'
import type { Device } from '../native.js'

/** Products of up to so many rows add in another order than those of more: kMostThin in cpu/divided_product.h. */
const mostThin = 32

/**
 * On the CPU a caption's score depends on the batch only by whether a product has more than 32 rows: of each image as many
 * as captions are searched for or drawn, or as its memory has cells. On a GPU last bits depend on the batch in other ways
 * too, and throughput on large batches: any size.
 */
export function mostAlike(
  model: Pick<CaptionModel, 'cells' | 'grid'>,
  device: Device['name'],
  { sampling, beams, numCaptions }: ReturnType<typeof decodingOptions>,
): number {
  if (device !== 'cpu') return Number.POSITIVE_INFINITY
  const { cells, grid } = model
  const rows = [sampling ? numCaptions : beams, cells, grid.extra + grid.side ** 2]
  return Math.min(...rows.map((n) => (n > mostThin ? Infinity : Math.floor(mostThin / n))))
}
