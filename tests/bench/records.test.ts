/** What is kept of measurements: rows of models beside variants, failed ones too, and facts of a GPU. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { clocksOf, productCeiling } from '../../bench/gpu.js'
import { kernelCases } from '../../bench/kernel-cases.js'
import { captioningFlops, trainingFlops } from '../../bench/model-work.js'
import { cellsOf, heading, type Row, recordOf } from '../../bench/models.js'
import { createWorkload, type Workload } from '../../bench/workload.js'
import { type Device, openDevice, packageRoot } from '../../ts/native.js'

const row: Row = {
  what: 'train tiny, batch 8: eager',
  details: { bench: 'train', variant: 'eager' },
  images: 8,
  flops: 4e12,
  ceiling: 800e12,
  ours: { median: 10, min: 8, max: 16 },
  count: 5,
  peer: { median: 20, min: 18, max: 24 },
  ratio: { median: 2, min: 1.5, max: 2.5 },
}

test('a row becomes a record with rates and its share of what is possible', (t) => {
  t.like(recordOf(row), {
    bench: 'train',
    variant: 'eager',
    imagesPerSecond: 800,
    tflops: 400,
    shareOfCeiling: 0.5,
    pytorch: { median: 20 },
    ratio: { median: 2 },
  })
  const cells = cellsOf(row)
  t.is(cells.length, heading.length)
  t.deepEqual(cells.slice(3, 6), ['800', '400', '20.0'])
})

test('a variant that failed keeps its error, and no figures', (t) => {
  const { ours: _ours, peer: _peer, ratio: _ratio, ...rest } = row
  const failed: Row = { ...rest, error: 'out of memory\nat line 3' }
  t.deepEqual(recordOf(failed), { bench: 'train', variant: 'eager', error: failed.error })
  t.deepEqual(cellsOf(failed), [row.what, 'failed: out of memory'])
})

test('nothing to compare with: our figures alone', (t) => {
  const { peer: _peer, ratio: _ratio, ceiling: _ceiling, ...rest } = row
  const record = recordOf({ ...rest, ceiling: undefined })
  t.false('pytorch' in record || 'shareOfCeiling' in record)
})

test("nvidia-smi's line becomes numbers", (t) => {
  const clocks = clocksOf('1980, 2619, 412.55, 47\n345, 2619, 70.00, 30\n')
  t.deepEqual(clocks, { smMHz: 1980, memoryMHz: 2619, watts: 412.55, celsius: 47 })
})

test('a ceiling is claimed only for cards on which it was measured', (t) => {
  const card = (description: string): Device => ({
    ...openDevice('cpu'),
    name: 'cuda',
    description,
  })
  t.is(productCeiling(card('NVIDIA H100 80GB HBM3 (sm_90)')), 790e12)
  t.is(productCeiling(card('NVIDIA A10G (sm_86)')), undefined)
  t.is(productCeiling(openDevice('cpu')), undefined)
})

async function withWorkload(cached: boolean, body: (work: Workload) => void): Promise<void> {
  const preset = 'mobilenetv2-transformer'
  const work = await createWorkload({ preset, cached, vocabulary: 100 }, openDevice('cpu'), 1)
  try {
    body(work)
  } finally {
    work.close()
  }
}

test.serial('a frozen encoder counts once, its cached features not at all', async (t) => {
  let [frozen, cached] = [0, 0]
  await withWorkload(false, (work) => {
    frozen = trainingFlops(work)
    const one = { batch: 1, beams: 1, tokens: 10 }
    const flops = (search: typeof one) => captioningFlops(work, search)
    const token = flops({ ...one, tokens: 11 }) - flops(one)
    t.is(flops({ ...one, beams: 3 }) - flops(one), 20 * token)
    t.is(flops({ ...one, batch: 4 }), 4 * flops(one))
  })
  await withWorkload(true, (work) => {
    cached = trainingFlops(work)
  })
  // MobileNetV2 at 224 pixels: 300 million multiply-adds (Sandler et al. 2018, table 4), a little less without classifier.
  t.true(Math.abs((frozen - cached) / 2 - 300e6) < 5e6, `${(frozen - cached) / 2}`)
})

test('every kernel case is bound by something, has a name of its own, and PyTorch knows it', (t) => {
  const peer = readFileSync(join(packageRoot, 'bench', 'peers', 'kernels.py'), 'utf8')
  const cases = kernelCases(64)
  t.is(new Set(cases.map(({ name }) => name)).size, cases.length)
  for (const { name, op, options, flops, bytes } of cases) {
    t.true((flops ?? bytes?.(2) ?? 0) > 0 && (flops === undefined) !== (bytes === undefined), name)
    const [, builder] = new RegExp(`"${op}": (\\w+),`).exec(peer) ?? []
    const [, parameters = ''] = new RegExp(`^def ${builder}\\(make, (.*)\\):`, 'm').exec(peer) ?? []
    const expected = parameters.split(', ').filter((parameter) => !parameter.includes('='))
    t.deepEqual(Object.keys(options).sort(), expected.sort(), name)
  }
})

test('operations of a known layer: 3 x 3 of 64 channels on 56 x 56 places', (t) => {
  const found = kernelCases(1).find(({ name }) => name === 'convolution [1,56,56,64] [64,3,3,64]')
  t.is(found?.flops, 2 * 56 * 56 * 64 * 64 * 9)
})
