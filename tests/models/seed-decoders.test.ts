/**
 * Small decoders of the seed systems against PyTorch: loss, losses of tokens, every gradient, attention, ten optimizer
 * steps, and captions that are searched with keys and values kept.
 */

import ava, { type ExecutionContext } from 'ava'
import { packCaptions, uploadCaptions } from '../../ts/data/batches.js'
import { decoderSchema } from '../../ts/models/config.js'
import { buildDecoder } from '../../ts/models/decoders/build.js'
import type { Decoder, DecoderParams } from '../../ts/models/decoders/decoder.js'
import { inferenceMode, trainingMode } from '../../ts/models/mode.js'
import { namedTensors } from '../../ts/models/params.js'
import { synchronize } from '../../ts/native.js'
import { differentiate } from '../../ts/tape.js'
import { memory as memoryOf, scope, type Tensor, tensor, tensorsIn } from '../../ts/tensor.js'
import { specialIds } from '../../ts/tokenizer/tokenizer.js'
import { device } from '../device.js'
import { unit } from '../fixtures/filler.js'
import { sameSearch, sameSteps } from './decoder-parity.js'
import { filled, readFixture, type Summary, sameNumber, sameTensor, sameTensors } from './parity.js'

type Captions = readonly (readonly (readonly number[])[])[]

interface Case {
  readonly name: string
  readonly image: boolean
  readonly config: Readonly<Record<string, unknown>>
  readonly images: number
  readonly cells: number
  readonly channels: number
  readonly vocabulary: number
  readonly captions: readonly Captions[]
  readonly labelSmoothing: number
  readonly learningRate: number
  readonly weightDecay: number
  readonly clipNorm: number
  readonly loss: number
  readonly tokenLosses: readonly number[]
  readonly gradients: Readonly<Record<string, Summary>>
  readonly attention: Summary
  readonly losses: readonly number[]
  readonly outputScale: number
  readonly endBias: number
  readonly searches: readonly {
    readonly beam: number
    readonly ids: readonly (readonly number[])[]
    readonly scores: readonly number[]
  }[]
}

for (const one of readFixture<Case[]>('seed_decoders')) {
  test(`${one.name}: loss, gradients and attention`, one, checkGradients)
  test(`${one.name}: losses of ten optimizer steps`, one, checkSteps)
  for (const search of one.searches)
    test(`${one.name}: captions with beam ${search.beam}`, one, (t, decoder) =>
      checkSearch(t, one, decoder, search),
    )
}

function test(
  title: string,
  one: Case,
  check: (t: ExecutionContext, decoder: Decoder, one: Case) => Promise<void>,
): void {
  ava.serial(title, async (t) => {
    const before = memoryOf(device)
    const config = decoderSchema.parse({ ...one.config, dropout: 0 })
    await check(t, buildDecoder(config, one), one)
    await synchronize(device)
    t.is(memoryOf(device).liveTensors, before.liveTensors, 'nothing leaks')
  })
}

function memoryTensor({ images, cells, channels }: Case, factor = 1): Tensor {
  const values = unit('memory', images * cells * channels).map((x) => factor * x)
  return tensor(Float32Array.from(values), [images * cells, channels], device)
}

const textOf = (one: Case, batch = 0) =>
  uploadCaptions(packCaptions(one.captions[batch] ?? [], specialIds), device)

async function checkGradients(t: ExecutionContext, decoder: Decoder, one: Case): Promise<void> {
  const params = filled(decoder.specs, device) as DecoderParams
  const memory = memoryTensor(one)
  const named = new Map(namedTensors(params))
  if (one.image) named.set('(memory)', memory)
  const mode = trainingMode(undefined, 0, new Map())

  const [loss, grads] = scope(() => {
    const [found, gradients] = differentiate([...named.values()], () =>
      decoder.loss(params, memory, textOf(one), one, mode),
    )
    return [found, gradients as Tensor[]]
  })
  sameNumber(t, (await loss.readFloats())[0] ?? 0, one.loss, 'loss', 1e-5)
  const gradients = new Map([...named.keys()].map((name, i) => [name, grads[i] as Tensor]))
  await sameTensors(t, gradients, one.gradients, 'gradient')

  const tokens = scope(() => decoder.tokenLosses(params, memory, textOf(one), mode))
  const losses = await tokens.out.readFloats()
  t.is(losses.length, one.tokenLosses.length)
  for (const [i, expected] of one.tokenLosses.entries())
    sameNumber(t, losses[i] ?? 0, expected, `loss of token ${i}`)

  const shares = scope(() => decoder.attention(params, memory, textOf(one), inferenceMode()))
  t.deepEqual(shares.shape, [losses.length, one.cells])
  sameTensor(t, await shares.readFloats(), one.attention, 'attention')

  for (const used of tensorsIn({ params, memory, loss, grads, tokens, shares })) used.release()
}

async function checkSteps(t: ExecutionContext, decoder: Decoder, one: Case): Promise<void> {
  const memory = memoryTensor(one)
  const { losses, learningRate, labelSmoothing, weightDecay, clipNorm } = one
  const options = { weightDecay, clipNorm }
  const text = (step: number) => textOf(one, step % one.captions.length)
  const how = { name: 'adamw', learningRate, labelSmoothing, options } as const
  await sameSteps(t, decoder, memory, { ...how, losses, text })
  memory.release()
}

async function checkSearch(
  t: ExecutionContext,
  one: Case,
  decoder: Decoder,
  search: Case['searches'][number],
): Promise<void> {
  const memory = memoryTensor(one, 3)
  const maxTokens = Number(one.config.maxTokens)
  const expected = { maxTokens, lengthPenalty: 0.7, ...search }
  await sameSearch(t, decoder, memory, 'output', { ...one, ...expected })
  memory.release()
}
