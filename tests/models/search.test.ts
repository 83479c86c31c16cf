/** Captions of random weights: greedy and beam search with keys and values kept, against plain search in PyTorch. */
import test from 'ava'
import { searchCaptions } from '../../ts/decoding/search.js'
import { decoderSchema } from '../../ts/models/config.js'
import type { DecoderParams } from '../../ts/models/decoders/decoder.js'
import { transformerDecoder } from '../../ts/models/decoders/transformer.js'
import { openDevice } from '../../ts/native.js'
import { scope, type Tensor, tensor, tensorsIn } from '../../ts/tensor.js'
import { specialIds } from '../../ts/tokenizer/tokenizer.js'
import { unit, weight } from '../fixtures/filler.js'
import { filled, readFixture, sameNumber } from './parity.js'

interface Fixture {
  readonly decoder: Readonly<Record<string, unknown>> & { readonly maxTokens: number }
  readonly images: number
  readonly cells: number
  readonly channels: number
  readonly vocabulary: number
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

/** Of an untied decoder. */
type Params = DecoderParams & {
  readonly output: { readonly weight: Tensor; readonly bias: Tensor }
}

const fixture = readFixture<Fixture>('captions')
const { images, cells, channels, vocabulary, outputScale, endBias, memoryScale } = fixture
const device = openDevice('cpu')
const config = decoderSchema.parse({ ...fixture.decoder, dropout: 0 })
const { pad, bos, eos, unk } = specialIds

for (const { beam, lengthPenalty, ids, scores } of fixture.searches)
  test.serial(`beam ${beam}, length penalty ${lengthPenalty}: ids and scores`, async (t) => {
    const decoder = transformerDecoder(config, { channels, cells, vocabulary })
    const params = filled(decoder.specs, device) as Params
    const { shape } = params.output.weight
    params.output.weight.write(weight('output.weight', { shape }).map((x) => outputScale * x))
    const bias = weight('output.bias', { shape: [vocabulary] })
    params.output.bias.write(bias.map((x, id) => (id === eos ? x + endBias : x)))
    const values = unit('memory.5', images * cells * channels).map((x) => memoryScale * x)
    const memory = tensor(Float32Array.from(values), [images * cells, channels], device)
    const { maxTokens } = config
    const state = scope(() => decoder.start(params, memory, beam, maxTokens))
    const found = await searchCaptions(
      (tokens, position, ancestors) => decoder.step(params, state, tokens, position, ancestors),
      {
        device,
        images,
        beams: beam,
        maxTokens,
        lengthPenalty,
        bos,
        eos,
        forbidden: [pad, bos, unk],
      },
    )
    t.deepEqual(
      found.map(([best]) => best?.tokens),
      ids.map((expected) => [...expected]),
    )
    for (const [i, expected] of scores.entries())
      sameNumber(t, found[i]?.[0]?.score ?? 0, expected, `score of image ${i}`)
    for (const used of tensorsIn({ params, memory, state })) used.release()
  })
