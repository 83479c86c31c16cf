/** Captions of random weights: greedy and beam search with keys and values kept, against plain search in PyTorch. */
import test from 'ava'
import { decoderSchema } from '../../ts/models/config.js'
import { transformerDecoder } from '../../ts/models/decoders/transformer.js'
import { openDevice } from '../../ts/native.js'
import { tensor } from '../../ts/tensor.js'
import { unit } from '../fixtures/filler.js'
import { sameSearch } from './decoder-parity.js'
import { readFixture } from './parity.js'

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

const fixture = readFixture<Fixture>('captions')
const { images, cells, channels, vocabulary, memoryScale } = fixture
const device = openDevice('cpu')
const config = decoderSchema.parse({ ...fixture.decoder, dropout: 0 })

for (const { beam, lengthPenalty, ids, scores } of fixture.searches)
  test.serial(`beam ${beam}, length penalty ${lengthPenalty}: ids and scores`, async (t) => {
    const decoder = transformerDecoder(config, { channels, cells, vocabulary })
    const values = unit('memory.5', images * cells * channels).map((x) => memoryScale * x)
    const memory = tensor(Float32Array.from(values), [images * cells, channels], device)
    const { maxTokens } = config
    const expected = { maxTokens, beam, lengthPenalty, ids, scores }
    await sameSearch(t, decoder, memory, 'output', { ...fixture, ...expected })
    memory.release()
  })
