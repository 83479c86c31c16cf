/**
 * The LSTM decoder against a plain one of PyTorch's layers (tests/fixtures/make_lstm.py): sizes, loss, losses of tokens,
 * attention, every gradient, ten optimizer steps, and captions found step by step.
 */

import ava, { type ExecutionContext } from 'ava'
import { packCaptions, uploadCaptions } from '../../ts/data/batches.js'
import { padCaptions } from '../../ts/data/pad-captions.js'
import { decoderSchema } from '../../ts/models/config.js'
import { buildDecoder } from '../../ts/models/decoders/build.js'
import type { Decoder, DecoderParams } from '../../ts/models/decoders/decoder.js'
import { inferenceMode, trainingMode } from '../../ts/models/mode.js'
import { countParameters, materialize, namedSpecs, namedTensors } from '../../ts/models/params.js'
import { computeCopy } from '../../ts/models/precision.js'
import { synchronize } from '../../ts/native.js'
import { createRandom } from '../../ts/random.js'
import { differentiate } from '../../ts/tape.js'
import { cast, memory as memoryOf, scope, type Tensor, tensor, tensorsIn } from '../../ts/tensor.js'
import { specialIds } from '../../ts/tokenizer/tokenizer.js'
import { device, dtypes } from '../device.js'
import { unit } from '../fixtures/filler.js'
import { sameSearch, sameSteps } from './decoder-parity.js'
import {
  deviceWeight,
  filled,
  readFixture,
  type Summary,
  sameNumber,
  sameTensor,
  sameTensors,
} from './parity.js'

interface Sizes {
  readonly images: number
  readonly cells: number
  readonly channels: number
  readonly vocabulary: number
}

type Captions = readonly (readonly (readonly number[])[])[]

interface Fixture {
  readonly config: Readonly<Record<string, unknown>>
  readonly counts: Readonly<Record<string, number>>
  readonly step: Sizes & {
    readonly captions: Captions
    readonly labelSmoothing: number
    readonly loss: number
    readonly tokenLosses: readonly number[]
    readonly attention: Summary
    readonly gradients: Readonly<Record<string, Summary>>
  }
  readonly training: Sizes & {
    readonly captions: readonly Captions[]
    readonly learningRate: number
    readonly clipValue: number
    readonly losses: readonly number[]
  }
  readonly search: Sizes & {
    readonly outputScale: number
    readonly endBias: number
    readonly memoryScale: number
    readonly searches: readonly {
      readonly beam: number
      readonly lengthPenalty: number
      readonly ids: readonly (readonly number[])[]
      readonly scores: readonly number[]
    }[]
  }
}

const fixture = readFixture<Fixture>('lstm')
const { pad } = specialIds
const maxTokens = Number(fixture.config.maxTokens)

function lstm(
  sizes: Pick<Sizes, 'cells' | 'channels' | 'vocabulary'>,
  other: object = {},
): Decoder {
  const config = decoderSchema.parse({ ...fixture.config, outputDropout: 0, ...other })
  return buildDecoder(config, sizes)
}

function test(title: string, check: (t: ExecutionContext) => Promise<void>): void {
  ava.serial(title, async (t) => {
    const before = memoryOf(device)
    await check(t)
    await synchronize(device)
    t.is(memoryOf(device).liveTensors, before.liveTensors, 'nothing leaks')
  })
}

function imageMemory({ images, cells, channels }: Sizes, name = 'memory', factor = 1): Tensor {
  const values = unit(name, images * cells * channels).map((x) => factor * x)
  return tensor(Float32Array.from(values), [images * cells, channels], device)
}

const mode = trainingMode(undefined, 0, new Map())

for (const [vocabulary, count] of Object.entries(fixture.counts))
  test(`${count} parameters with a vocabulary of ${vocabulary}, names as published`, async (t) => {
    const sizes = { dim: 512, embeddingDim: 512, attentionDim: 512 }
    const facts = { cells: 196, channels: 2048, vocabulary: Number(vocabulary) }
    const { specs } = lstm(facts, sizes)
    t.is(countParameters(specs), count)
    t.is(countParameters(specs), vocabulary === '7003' ? 17_934_684 : 20_483_859)
    const names = [...namedSpecs(specs)].map(([name]) => name)
    t.deepEqual(
      names.sort(),
      Object.keys(fixture.step.gradients)
        .filter((name) => name !== '(memory)')
        .sort(),
    )
  })

test('tied: an error that says what to do', async (t) => {
  const error = t.throws(() => lstm({ cells: 1, channels: 8, vocabulary: 9 }, { tied: true }))
  t.regex(error?.message ?? '', /decoder\.tied to be false with the decoder lstm, received true/)
})

for (const padded of [false, true])
  test(`loss, losses of tokens, attention and gradients, ${padded ? 'padded' : 'exact'}`, async (t) => {
    const one = fixture.step
    const decoder = lstm(one)
    const params = filled(decoder.specs, device) as DecoderParams
    const memory = imageMemory(one)
    const exact = packCaptions(one.captions, specialIds)
    const host = padded ? padCaptions(exact, pad, maxTokens) : exact
    t.is(host.tokens.length > exact.tokens.length, padded)
    // As training does it: pads are no tokens of the loss.
    const text = () => {
      const packed = uploadCaptions(host, device)
      return { ...packed, denominator: tensor([exact.tokens.length], [1], device) }
    }
    const named = new Map([...namedTensors(params), ['(memory)', memory] as const])
    const [loss, grads] = scope(() => {
      const [found, gradients] = differentiate([...named.values()], () =>
        decoder.loss(params, memory, text(), one, mode),
      )
      return [found, gradients as Tensor[]]
    })
    sameNumber(t, (await loss.readFloats())[0] ?? 0, one.loss, 'loss', 1e-5)
    const gradients = new Map([...named.keys()].map((name, i) => [name, grads[i] as Tensor]))
    await sameTensors(t, gradients, one.gradients, 'gradient')

    const tokens = scope(() => decoder.tokenLosses(params, memory, text(), mode))
    const counted = (_: unknown, i: number) => host.targets[i] !== -100
    const losses = (await tokens.out.readFloats()).filter(counted)
    t.is(losses.length, one.tokenLosses.length)
    for (const [i, expected] of one.tokenLosses.entries())
      sameNumber(t, losses[i] ?? 0, expected, `loss of token ${i}`)

    const shares = scope(() => decoder.attention(params, memory, text(), inferenceMode()))
    t.deepEqual(shares.shape, [host.tokens.length, one.cells])
    const seen = (await shares.readFloats()).filter((_, i) => counted(0, Math.floor(i / one.cells)))
    sameTensor(t, seen, one.attention, 'attention')
    for (const used of tensorsIn({ params, memory, loss, grads, tokens, shares })) used.release()
  })

test('weighted captions have no penalty', async (t) => {
  const one = fixture.step
  const memory = imageMemory(one)
  const params = filled(lstm(one).specs, device) as DecoderParams
  const host = packCaptions(one.captions, specialIds)
  const ones = new Float32Array(host.tokens.length).fill(1)
  const lossOf = async (decoder: Decoder, captions: typeof host) => {
    const text = scope(() => uploadCaptions(captions, device))
    const loss = scope(() => decoder.loss(params, memory, text, { labelSmoothing: 0 }, mode))
    const [value = Number.NaN] = await loss.readFloats()
    for (const used of tensorsIn({ text, loss })) used.release()
    return value
  }
  const weighted = await lossOf(lstm(one), { ...host, weights: ones })
  t.is(weighted, await lossOf(lstm(one, { attentionPenalty: 0 }), host))
  t.not(weighted, await lossOf(lstm(one), host))
  for (const used of tensorsIn({ params, memory })) used.release()
})

test('losses of ten optimizer steps', async (t) => {
  const one = fixture.training
  const memory = imageMemory(one)
  const text = (step: number) => {
    const captions = one.captions[step % one.captions.length] ?? []
    return uploadCaptions(packCaptions(captions, specialIds), device)
  }
  const { losses, learningRate, clipValue } = one
  const how = { name: 'adam', learningRate, labelSmoothing: 0, options: { clipValue } } as const
  await sameSteps(t, lstm(one), memory, { ...how, losses, text })
  memory.release()
})

for (const { beam, lengthPenalty, ids, scores } of fixture.search.searches)
  test(`captions with beam ${beam}, length penalty ${lengthPenalty}`, async (t) => {
    const one = fixture.search
    const memory = imageMemory(one, 'memory.5', one.memoryScale)
    const expected = { maxTokens, beam, lengthPenalty, ids, scores }
    await sameSearch(t, lstm(one), memory, 'fc', { ...one, ...expected })
    memory.release()
  })

/**
 * Rows change parents at every position, within their image. What the last step says of a word must be what the decoder
 * says of the whole caption that the row has become.
 */
for (const dtype of dtypes)
  test(`steps with parents, ${dtype}: as the whole captions`, async (t) => {
    const [images, beams, positions] = [2, 3, 5]
    const sizes = { images, cells: 7, channels: 32, vocabulary: 29 }
    const decoder = lstm(sizes)
    const params = scope(() =>
      materialize(decoder.specs, (name, spec) =>
        computeCopy(spec, tensor(deviceWeight(name, spec), spec.shape, device), dtype),
      ),
    ) as DecoderParams
    const memory = scope(() => cast(imageMemory(sizes), dtype))
    const count = images * beams
    const random = createRandom(3)
    const draw = (below: number) => Math.floor(random() * below)
    const ancestors = new Int32Array(count * maxTokens)
    let read: number[][] = Array.from({ length: count }, () => [])
    const state = scope(() => decoder.start(params, memory, beams, maxTokens))
    const table = tensor(ancestors, [count, maxTokens], device)
    const steps: Tensor[] = []
    for (let position = 0; position < positions; position++) {
      const parents = read.map((_, row) => row - (row % beams) + draw(beams))
      for (const [row, parent] of parents.entries())
        if (position > 0) ancestors[row * maxTokens + position - 1] = parent
      table.write(ancestors)
      const words = read.map(() => 4 + draw(sizes.vocabulary - 4))
      read = words.map((word, row) => [
        ...((position === 0 ? [] : read[parents[row] ?? 0]) ?? []),
        word,
      ])
      steps.push(
        scope(() =>
          decoder.step(
            params,
            state,
            tensor(Int32Array.from(words), [count], device),
            position,
            table,
          ),
        ),
      )
    }
    const logits = (await steps.at(-1)?.readFloats()) ?? new Float32Array()
    const target = 9
    const whole = scope(() => {
      const ints = (data: readonly number[]) => tensor(Int32Array.from(data), [data.length], device)
      const text = {
        tokens: ints(read.flat()),
        positions: ints(read.flatMap((words) => words.map((_, i) => i))),
        targets: ints(read.flatMap((words) => words.map(() => target))),
        offsets: ints(Array.from({ length: count + 1 }, (_, row) => row * positions)),
        longest: positions,
        captionsPerImage: beams,
        denominator: tensor([1], [1], device),
      }
      return decoder.tokenLosses(params, memory, text, mode)
    })
    const losses = await whole.out.readFloats()
    for (let row = 0; row < count; row++) {
      const own = logits.subarray(row * sizes.vocabulary, (row + 1) * sizes.vocabulary)
      const largest = Math.max(...own)
      const sum = own.reduce((total, x) => total + Math.exp(x - largest), 0)
      const loss = largest + Math.log(sum) - (own[target] ?? 0)
      const expected = losses[(row + 1) * positions - 1] ?? 0
      sameNumber(t, loss, expected, `row ${row}`, dtype === 'float32' ? 1e-5 : 2e-2)
    }
    for (const used of tensorsIn({ params, table, steps, whole })) used.release()
    // The memory is part of the state.
    for (const used of tensorsIn(state)) used.release()
  })
