/** Times of single kernels beside PyTorch's, from many calls in one graph: neither launching nor JavaScript takes time. */

import { capture } from '../ts/capture.js'
import { three } from '../ts/cli/format.js'
import { note } from '../ts/cli/terminal.js'
import { type Device, synchronize } from '../ts/native.js'
import { tensorScope } from '../ts/tensor.js'
import { clocksDuring, productCeiling } from './gpu.js'
import { createMaker, type KernelCase, kernelCases } from './kernel-cases.js'
import { type Peer, PeerError } from './peer.js'
import { type Comparison, compare, type Side, type Spread } from './statistics.js'

export interface KernelBenchOptions {
  readonly device: Device
  readonly peer: Peer | undefined
  /** Images whose activations the kernels work on. */
  readonly images: number
  readonly blocks: number
  readonly blockSeconds: number
  /** Told each record as soon as it is there. */
  readonly onRecord: (record: object) => Promise<void>
}

/** Times of one call. */
interface Timed {
  readonly ours: Spread
  readonly peer?: Spread
  readonly ratio?: Spread
  /** Which of PyTorch's kernels for attention was the fastest. */
  readonly backend?: string | null
  /** Why there is nothing of PyTorch's. */
  readonly error?: string
  readonly clocks?: Awaited<ReturnType<typeof clocksDuring>>
}

/** What a case reached. */
interface Judged {
  /** Bytes or operations. */
  readonly perSecond: number
  /** Of what is possible: of the copy bandwidth, or of the rate of matrix products. */
  readonly share: number | undefined
  readonly bar: number | undefined
  readonly enough: boolean | undefined
}

/**
 * All cases, the copy first: what the others move is compared with its bandwidth. A case that fails is told, too.
 * @returns heading and rows of a table
 */
export async function benchKernels(options: KernelBenchOptions): Promise<string[][]> {
  const { device, onRecord } = options
  const rows = [heading]
  const onGpu = device.name === 'cuda'
  const ceiling = productCeiling(device)
  let copyBandwidth = Number.NaN
  for (const one of kernelCases(options.images)) {
    const { name, op, options: sizes, flops } = one
    const bytes = one.bytes?.(onGpu ? 2 : 4)
    const known = { bench: 'kernels', device: device.name, name, op, ...sizes, flops, bytes }
    const keep = async (row: string[], found: object) => {
      rows.push(row)
      await onRecord({ ...known, ...found })
      note(row.slice(0, 2).join(': '))
    }
    try {
      const timed = await timeBoth(one, options)
      const { ours, peer, ratio, ...facts } = timed
      const work = 1000 * (bytes ?? flops ?? Number.NaN)
      if (op === 'copy')
        copyBandwidth = work / Math.min(ours.median, peer?.median ?? Number.POSITIVE_INFINITY)
      const most = bytes === undefined ? ceiling : copyBandwidth
      const perSecond = work / ours.median
      const share = most === undefined ? undefined : perSecond / most
      const bar = onGpu ? one.bar : undefined
      const reached = bytes === undefined ? ratio?.median : share
      const enough = bar === undefined || reached === undefined ? undefined : reached >= bar
      const judged: Judged = { perSecond, share, bar, enough }
      const found = { ours, pytorch: peer, ratio, ...facts, copyBandwidth, ...judged }
      await keep(cells(one, timed, judged), found)
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      await keep([name, `failed: ${message.split('\n')[0]}`], { error: message })
    }
  }
  return rows
}

/** A graph of so many calls takes a millisecond or so on a GPU; elsewhere a call is long enough. */
const callsOnGpu = 20

async function timeBoth(
  one: KernelCase,
  { device, peer, blocks, blockSeconds }: KernelBenchOptions,
): Promise<Timed> {
  const onGpu = device.name === 'cuda'
  const calls = onGpu ? callsOnGpu : 1
  using _ = tensorScope()
  const call = one.prepare(createMaker(device))
  // The first takes scratch memory, which a graph then keeps.
  call()
  await synchronize(device)
  using graph = capture(device, () => {
    for (let i = 0; i < calls; i++) call()
  })
  const ours: Side = async (replays) => {
    const start = performance.now()
    for (let i = 0; i < replays; i++) graph.replay()
    await synchronize(device)
    return [(performance.now() - start) / replays]
  }
  let backend: string | null = null
  const { op, options } = one
  const theirs: Side = async (replays) => {
    const command = { op, options, calls, replays }
    const answer = await peer?.ask<{ ms: number[]; backend: string | null }>('kernel', command)
    backend = answer?.backend ?? null
    return answer?.ms ?? []
  }
  const perCall = ({ ours: own, peer: other, ratio }: Comparison) => ({
    ours: scaled(own, calls),
    ...(other && ratio ? { peer: scaled(other, calls), ratio, backend } : {}),
  })
  const clocks = async (count: number) => onGpu && { clocks: await clocksDuring(() => ours(count)) }
  try {
    const compared = await compare(ours, peer && theirs, blocks, blockSeconds)
    return { ...perCall(compared), ...(await clocks(compared.count)) }
  } catch (error) {
    if (!(error instanceof PeerError)) throw error
    const alone = await compare(ours, undefined, blocks, blockSeconds)
    return { ...perCall(alone), ...(await clocks(alone.count)), error: error.message }
  }
}

function scaled({ median, min, max }: Spread, calls: number): Spread {
  return { median: median / calls, min: min / calls, max: max / calls }
}

const heading = ['', 'us', 'T/s', 'share', 'PyTorch us', 'ours/PyTorch', '(min-max)', 'bar', '']

function cells(one: KernelCase, { ours, peer, ratio, error }: Timed, judged: Judged): string[] {
  const { perSecond, share, bar, enough } = judged
  const bound = one.bytes ? { unit: 'B', most: 'a copy' } : { unit: 'flop', most: 'PyTorch' }
  return [
    one.name,
    three(1000 * ours.median),
    `${three(perSecond / 1e12)} ${bound.unit}`,
    share === undefined ? '' : share.toFixed(2),
    peer ? three(1000 * peer.median) : error ? 'failed' : '',
    ratio ? ratio.median.toFixed(2) : '',
    ratio ? `(${ratio.min.toFixed(2)}-${ratio.max.toFixed(2)})` : '',
    bar === undefined ? '' : `${bar} of ${bound.most}`,
    enough === undefined ? '' : enough ? 'reached' : 'missed',
  ]
}
