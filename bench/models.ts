/** Training and captioning of the presets beside PyTorch where it is there: one record and one table row a variant. */

import { three } from '../ts/cli/format.js'
import { dtypeOf } from '../ts/models/precision.js'
import type { Device } from '../ts/native.js'
import { besideEach, type OpenedPeer, type PeerChoice } from './beside.js'
import { type BenchCase, caseName } from './cases.js'
import { clocksDuring, productCeiling } from './gpu.js'
import { captioningFlops, trainingFlops } from './model-work.js'
import { type Comparison, compare, type Side, type Spread } from './statistics.js'
import {
  batches,
  captionPictures,
  createWorkload,
  firstLoss,
  trainSteps,
  type Workload,
} from './workload.js'

export interface ModelBenchOptions {
  readonly device: Device
  readonly peers: PeerChoice | undefined
  /** Images in a step or call; the case's own when left out. */
  readonly batch: number | undefined
  /** Turns of each side, and about how long each takes. */
  readonly blocks: number
  readonly blockSeconds: number
  /** Told each row as soon as it is there. */
  readonly onRow: (row: Row) => Promise<void>
}

/** What was measured of one case beside one variant, or why that failed. */
export interface Row extends Partial<Comparison> {
  readonly what: string
  readonly details: Readonly<Record<string, unknown>>
  readonly images: number
  /** Operations of a step or call. */
  readonly flops: number
  /** Operations per second that the device can do at most, where it is known. */
  readonly ceiling: number | undefined
  readonly error?: string
}

const captionTokens = 20

/** How far the first losses of the two sides may be apart, relative to ours: rounding of whole models. */
const lossTolerances = { float32: 1e-4, bfloat16: 2e-2 } as const

/** Rows for a whole training step (forward, backward, AdamW). */
export async function benchTraining(one: BenchCase, options: ModelBenchOptions): Promise<void> {
  await withWorkload(one, options, async (work) => {
    const batch = work.run.config.batchSize
    const loss = await firstLoss(work)
    const dtype = dtypeOf(work.run.weights.params)
    let step = 0
    await measureEach(work, options, {
      what: `train ${caseName(one)}, batch ${batch}`,
      details: { ...one, bench: 'train', batch },
      images: batch,
      flops: trainingFlops(work),
      // Captured steps come after the second of a shape, and each batch may have a shape of its own.
      warmUp: options.device.name === 'cuda' ? 2 * batches : 1,
      ours: async (count) => {
        step += count
        return trainSteps(work, step - count, count)
      },
      command: 'train',
      counted: (steps) => ({ steps }),
      found: (peer) => {
        const apart = Math.abs(peer.loss - loss) / loss
        const agree = apart <= lossTolerances[dtype]
        return { firstLoss: { ours: loss, pytorch: peer.loss, agree } }
      },
    })
  })
}

/** Rows for greedy and beam search, one image at a time and many: pixels to ids, always the same number of tokens. */
export async function benchCaptioning(one: BenchCase, options: ModelBenchOptions): Promise<void> {
  await withWorkload(one, options, async (work) => {
    for (const batch of new Set([1, work.run.config.batchSize]))
      for (const beams of [1, 3]) {
        const search = { batch, beams, tokens: captionTokens }
        let ids: (readonly number[])[] = []
        await measureEach(work, options, {
          what: `caption ${one.preset}, ${beams === 1 ? 'greedy' : `beam ${beams}`}, batch ${batch}`,
          details: { ...one, bench: 'caption', ...search },
          images: batch,
          flops: captioningFlops(work, search),
          // The second call is recorded, the third replays.
          warmUp: options.device.name === 'cuda' ? 3 : 1,
          ours: async (count) => {
            const times: number[] = []
            for (let i = 0; i < count; i++) {
              const start = performance.now()
              ids = await captionPictures(work, search)
              times.push(performance.now() - start)
            }
            return times
          },
          command: 'caption',
          counted: (calls) => ({ ...search, calls }),
          found: (_peer, theirs) => ({ sameCaptions: agreement(ids, theirs ?? []) }),
        })
      }
  })
}

interface Measured extends Pick<Row, 'what' | 'details' | 'images' | 'flops'> {
  readonly warmUp: number
  readonly ours: Side
  /** PyTorch's command for the same, and its options for a count of steps or calls. */
  readonly command: string
  readonly counted: (count: number) => Readonly<Record<string, unknown>>
  /** What the results of the two sides say of each other. */
  readonly found: (
    peer: OpenedPeer,
    ids: number[][] | undefined,
  ) => Readonly<Record<string, unknown>>
}

async function measureEach(
  work: Workload,
  { device, peers, blocks, blockSeconds, onRow }: ModelBenchOptions,
  { what, details, images, flops, warmUp, ours, command, counted, found }: Measured,
): Promise<void> {
  const ceiling = productCeiling(device)
  const dtype = dtypeOf(work.run.weights.params)
  const common = { images, flops, ceiling }
  const known = { ...details, device: device.name, dtype, flops }
  const measure = async (peer: OpenedPeer | undefined) => {
    let ids: number[][] | undefined
    const theirs: Side = async (count) => {
      const answer = await peer?.ask<{ ms: number[]; ids?: number[][] }>(command, counted(count))
      ids = answer?.ids
      return answer?.ms ?? []
    }
    const compared = await compare(ours, peer && theirs, blocks, blockSeconds, warmUp)
    const { peakBytes, reservedBytes } = device.native.memory()
    const gpu =
      device.name === 'cuda' ? { clocks: await clocksDuring(() => ours(compared.count)) } : {}
    const memory = { ours: { peakBytes, reservedBytes } }
    const beside = peer && {
      variant: peer.variant,
      ...found(peer, ids),
      facts: await peer.facts(),
    }
    await onRow({
      ...common,
      what: peer ? `${what}: ${peer.variant}` : what,
      details: { ...known, ...gpu, memory, ...beside },
      ...compared,
    })
  }
  await besideEach(work, peers, measure, (variant, error) =>
    onRow({ ...common, what: `${what}: ${variant}`, details: { ...known, variant }, error }),
  )
}

/** How many captions are the same: rounding may decide between two words of nearly equal probability. */
function agreement(ours: readonly (readonly number[])[], theirs: readonly number[][]): string {
  const same = ours.filter((ids, i) => JSON.stringify(ids) === JSON.stringify(theirs[i]))
  return `${same.length} of ${ours.length}`
}

async function withWorkload(
  one: BenchCase,
  { device, batch }: ModelBenchOptions,
  body: (work: Workload) => Promise<void>,
): Promise<void> {
  device.native.resetPeak()
  const work = await createWorkload(one, device, batch)
  try {
    await body(work)
  } finally {
    work.close()
  }
}

/** A row as it is kept. */
export function recordOf({ details, images, flops, ceiling, ours, peer, ratio, error }: Row) {
  if (!ours) return { ...details, error }
  const rate = (1000 * flops) / ours.median
  return {
    ...details,
    ours,
    imagesPerSecond: (1000 * images) / ours.median,
    tflops: rate / 1e12,
    ...(ceiling === undefined ? {} : { shareOfCeiling: rate / ceiling }),
    ...(peer ? { pytorch: peer, ratio } : {}),
  }
}

export const heading = [
  '',
  'ms',
  '(min-max)',
  'images/s',
  'TFLOP/s',
  'PyTorch ms',
  '(min-max)',
  'ours/PyTorch',
  '(min-max)',
]

/** A row as it is shown. */
export function cellsOf({ what, images, flops, ours, peer, ratio, error }: Row): string[] {
  if (!ours) return [what, `failed: ${error?.split('\n')[0]?.slice(0, 120)}`]
  const range = ({ min, max }: Spread) => `(${three(min)}-${three(max)})`
  const own = [
    what,
    three(ours.median),
    range(ours),
    three((1000 * images) / ours.median),
    three(flops / ours.median / 1e9),
  ]
  if (!peer || !ratio) return own
  return [...own, three(peer.median), range(peer), ratio.median.toFixed(2), range(ratio)]
}
