/** The decoder against PyTorch's own layers, in every pair of its settings: loss, losses of tokens, gradients. */
import test from 'ava'
import { packCaptions, uploadCaptions } from '../../ts/data/batches.js'
import { decoderSchema } from '../../ts/models/config.js'
import type { DecoderParams } from '../../ts/models/decoders/decoder.js'
import { transformerDecoder } from '../../ts/models/decoders/transformer.js'
import { trainingMode } from '../../ts/models/mode.js'
import { namedTensors } from '../../ts/models/params.js'
import { openDevice, synchronize } from '../../ts/native.js'
import { differentiate } from '../../ts/tape.js'
import { memory as memoryOf, scope, type Tensor, tensor, tensorsIn } from '../../ts/tensor.js'
import { specialIds } from '../../ts/tokenizer/tokenizer.js'
import { unit } from '../fixtures/filler.js'
import { filled, readFixture, type Summary, sameNumber, sameTensors } from './parity.js'

interface Case {
  readonly config: Readonly<Record<string, unknown>>
  readonly images: number
  readonly cells: number
  readonly channels: number
  readonly vocabulary: number
  readonly captions: readonly (readonly (readonly number[])[])[]
  readonly labelSmoothing: number
  readonly loss: number
  readonly tokenLosses: readonly number[]
  readonly gradients: Readonly<Record<string, Summary>>
}

const device = openDevice('cpu')

for (const one of readFixture<Case[]>('decoders')) {
  const { preNorm, activation, tied, positions, norm } = one.config
  const settings = `${preNorm ? 'pre' : 'post'}-norm, ${activation}, ${tied ? 'tied' : 'untied'}, ${positions}, ${norm} norm`
  test.serial(settings, (t) => check(t, one))
}

async function check(t: import('ava').ExecutionContext, one: Case): Promise<void> {
  const before = memoryOf(device)
  const { images, cells, channels, vocabulary } = one
  const config = decoderSchema.parse({ ...one.config, dropout: 0 })
  const decoder = transformerDecoder(config, { channels, cells, vocabulary })
  const params = filled(decoder.specs, device) as DecoderParams
  const shape = [images * cells, channels]
  const values = unit('memory', images * cells * channels)
  const memory = tensor(Float32Array.from(values), shape, device)
  const named = new Map([...namedTensors(params), ['(memory)', memory] as const])
  const host = packCaptions(one.captions, specialIds)
  const mode = trainingMode(undefined, 0, new Map())

  const [loss, grads] = scope(() => {
    const text = uploadCaptions(host, device)
    const [found, gradients] = differentiate([...named.values()], () =>
      decoder.loss(params, memory, text, one, mode),
    )
    return [found, gradients as Tensor[]]
  })
  sameNumber(t, (await loss.readFloats())[0] ?? 0, one.loss, 'loss')
  const gradients = new Map([...named.keys()].map((name, i) => [name, grads[i] as Tensor]))
  await sameTensors(t, gradients, one.gradients, 'gradient')

  const tokens = scope(() =>
    decoder.tokenLosses(params, memory, uploadCaptions(host, device), mode),
  )
  const losses = await tokens.out.readFloats()
  t.is(losses.length, one.tokenLosses.length)
  for (const [i, expected] of one.tokenLosses.entries())
    sameNumber(t, losses[i] ?? 0, expected, `loss of token ${i}`)

  for (const used of tensorsIn({ params, memory, loss, grads, tokens })) used.release()
  await synchronize(device)
  t.is(memoryOf(device).liveTensors, before.liveTensors, 'nothing leaks')
}
