/** Training and captioning of the presets, beside PyTorch where it is there: one record and one table row a case. */

import { three } from '../ts/cli/format.js'
import type { Device } from '../ts/native.js'
import { type BenchCase, caseName } from './cases.js'
import type { Peer } from './peer.js'
import { writePeerInputs } from './peer-inputs.js'
import type { Report } from './report.js'
import { type Comparison, compare, type Spread } from './statistics.js'
import {
  captionPictures,
  createWorkload,
  firstLoss,
  trainSteps,
  type Workload,
} from './workload.js'

export interface ModelBenchOptions {
  readonly device: Device
  readonly peer: Peer | undefined
  /** Images in a step or call; the case's own when left out. */
  readonly batch: number | undefined
  /** Turns of each side, and about how long each takes. */
  readonly blocks: number
  readonly blockSeconds: number
}

/** What was measured of one case. */
export interface Row extends Comparison {
  readonly what: string
  readonly images: number
  readonly details: Readonly<Record<string, unknown>>
}

const captionTokens = 20

/** One row: a whole training step (forward, backward, AdamW). */
export async function benchTraining(one: BenchCase, options: ModelBenchOptions): Promise<Row> {
  return withWorkload(one, options, async (work, opened) => {
    const loss = await firstLoss(work)
    let step = 0
    const compared = await compare(
      async (count) => {
        step += count
        return trainSteps(work, step - count, count)
      },
      peerSide(options.peer, 'train', (steps) => ({ steps })),
      options.blocks,
      options.blockSeconds,
    )
    const images = work.run.config.batchSize
    const losses = { ours: loss, ...(opened ? { pytorch: opened.loss } : {}) }
    return {
      what: `train ${caseName(one)}, batch ${images}`,
      images,
      details: { ...one, bench: 'train', batch: images, firstLoss: losses },
      ...compared,
    }
  })
}

/** Rows for greedy and beam search, one image at a time and many: pixels to ids, always the same number of tokens. */
export async function benchCaptioning(one: BenchCase, options: ModelBenchOptions): Promise<Row[]> {
  return withWorkload(one, options, async (work) => {
    const rows: Row[] = []
    for (const batch of new Set([1, work.run.config.batchSize]))
      for (const beams of [1, 3]) {
        const search = { batch, beams, tokens: captionTokens }
        const found: Found = { ours: [], pytorch: [] }
        const compared = await compare(
          async (count) => {
            const times: number[] = []
            for (let i = 0; i < count; i++) {
              const start = performance.now()
              found.ours = await captionPictures(work, search)
              times.push(performance.now() - start)
            }
            return times
          },
          peerSide(
            options.peer,
            'caption',
            (calls) => ({ ...search, calls }),
            (ids) => {
              found.pytorch = ids
            },
          ),
          options.blocks,
          options.blockSeconds,
        )
        rows.push({
          what: `caption ${one.preset}, ${beams === 1 ? 'greedy' : `beam ${beams}`}, batch ${batch}`,
          images: batch,
          details: {
            ...one,
            bench: 'caption',
            ...search,
            ...(options.peer ? agreement(found) : {}),
          },
          ...compared,
        })
      }
    return rows
  })
}

interface Found {
  ours: (readonly number[])[]
  pytorch: (readonly number[])[]
}

/** How many captions are the same: rounding may decide between two words of nearly equal probability. */
function agreement({ ours, pytorch }: Found) {
  const same = ours.filter((ids, i) => JSON.stringify(ids) === JSON.stringify(pytorch[i]))
  return { sameCaptions: `${same.length} of ${ours.length}` }
}

function peerSide(
  peer: Peer | undefined,
  command: string,
  options: (count: number) => Readonly<Record<string, unknown>>,
  onIds: (ids: number[][]) => void = () => {},
) {
  return (
    peer &&
    (async (count: number) => {
      const answer = await peer.ask<{ ms: number[]; ids?: number[][] }>(command, options(count))
      onIds(answer.ids ?? [])
      return answer.ms
    })
  )
}

async function withWorkload<T>(
  one: BenchCase,
  { device, peer, batch }: ModelBenchOptions,
  body: (work: Workload, opened: { loss: number } | undefined) => Promise<T>,
): Promise<T> {
  const work = await createWorkload(one, device, batch)
  try {
    if (!peer) return await body(work, undefined)
    const inputs = await writePeerInputs(work)
    const opened = await peer
      .ask<{ loss: number }>('open', inputs.message)
      .finally(() => inputs.remove())
    return await body(work, opened)
  } finally {
    work.close()
  }
}

/** Table and records of measured cases. */
export function modelReport(rows: readonly Row[]): Report {
  const records = rows.map(({ images, details, ours, peer, ratio }) => ({
    ...details,
    ours,
    imagesPerSecond: (1000 * images) / ours.median,
    ...(peer ? { pytorch: peer, ratio } : {}),
  }))
  return { rows: [heading, ...rows.map(cells)], records }
}

const heading = [
  '',
  'ms',
  '(min-max)',
  'images/s',
  'PyTorch ms',
  '(min-max)',
  'ours/PyTorch',
  '(min-max)',
]

function cells({ what, images, ours, peer, ratio }: Row): string[] {
  const range = ({ min, max }: Spread) => `(${three(min)}-${three(max)})`
  const own = [what, three(ours.median), range(ours), three((1000 * images) / ours.median)]
  if (!peer || !ratio) return own
  return [...own, three(peer.median), range(peer), ratio.median.toFixed(2), range(ratio)]
}
