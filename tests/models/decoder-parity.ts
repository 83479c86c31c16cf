/** A decoder beside PyTorch's results, whatever kind it is: ten optimizer steps, and searches. Fixtures are parity.ts's. */
import type { ExecutionContext } from 'ava'
import { searchCaptions } from '../../ts/decoding/search.js'
import type { Decoder, DecoderParams, PackedCaptions } from '../../ts/models/decoders/decoder.js'
import { trainingMode } from '../../ts/models/mode.js'
import { materialize, namedSpecs } from '../../ts/models/params.js'
import { differentiate } from '../../ts/tape.js'
import { scope, type Tensor, tensor, tensorsIn } from '../../ts/tensor.js'
import { specialIds } from '../../ts/tokenizer/tokenizer.js'
import {
  collectGradients,
  createOptimizer,
  type OptimizerName,
  type OptimizerOptions,
  optimizerStep,
} from '../../ts/train/optimizer.js'
import { weight } from '../fixtures/filler.js'
import { deviceWeight, filled, sameNumber } from './parity.js'

export interface TrainedSteps {
  readonly name: OptimizerName
  readonly learningRate: number
  readonly labelSmoothing: number
  /** What the optimizer does besides. */
  readonly options?: Partial<OptimizerOptions>
  /** Of each step. */
  readonly losses: readonly number[]
  readonly text: (step: number) => PackedCaptions
}

/** The losses of optimizer steps agree within a thousandth. `memory` stays the caller's. */
export async function sameSteps(
  t: ExecutionContext,
  decoder: Decoder,
  memory: Tensor,
  { name, learningRate, labelSmoothing, options, losses, text }: TrainedSteps,
): Promise<void> {
  const { device } = memory
  const specs = [...namedSpecs(decoder.specs)]
  const entries = specs.map(([key, { shape, decay }]) => ({
    name: key,
    shape,
    decay,
    group: 'decoder' as const,
  }))
  const optimizer = scope(() => createOptimizer(name, entries, device))
  for (const [i, [key, spec]] of specs.entries())
    optimizer.masters[i]?.[1].write(deviceWeight(key, spec))
  const views = new Map(optimizer.masters)
  const params = materialize(decoder.specs, (key) => views.get(key) as Tensor) as DecoderParams
  const mode = trainingMode(undefined, 0, new Map())
  for (const [step, expected] of losses.entries()) {
    const loss = scope(() => {
      const captions = text(step)
      const [found, grads] = differentiate(
        optimizer.views,
        () => decoder.loss(params, memory, captions, { labelSmoothing }, mode),
        optimizer.gradViews,
      )
      collectGradients(optimizer, grads, true)
      optimizerStep(optimizer, tensor([learningRate], [1], device), {
        name,
        encoderScale: 1,
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        momentum: 0,
        rectify: false,
        weightDecay: 0,
        clipNorm: 0,
        clipValue: 0,
        ...options,
      })
      return found
    })
    sameNumber(t, (await loss.readFloats())[0] ?? 0, expected, `loss of step ${step}`, 1e-3)
    loss.release()
  }
  for (const used of tensorsIn(optimizer)) used.release()
}

export interface Searched {
  readonly images: number
  readonly vocabulary: number
  readonly maxTokens: number
  readonly beam: number
  readonly lengthPenalty: number
  /** The classifier's weights are multiplied by it, so that words differ. */
  readonly outputScale: number
  /** Added to the end token's logit, so that captions end. */
  readonly endBias: number
  readonly ids: readonly (readonly number[])[]
  readonly scores: readonly number[]
}

/**
 * Greedy or beam search finds the same tokens with the same scores. `memory` stays the caller's.
 * @param classifier the name of the untied classifier among the parameters
 */
export async function sameSearch(
  t: ExecutionContext,
  decoder: Decoder,
  memory: Tensor,
  classifier: string,
  search: Searched,
): Promise<void> {
  const { images, vocabulary, maxTokens, beam, lengthPenalty } = search
  const { pad, bos, eos, unk } = specialIds
  const { device } = memory
  const params = filled(decoder.specs, device) as DecoderParams &
    Readonly<Record<string, { readonly weight: Tensor; readonly bias: Tensor }>>
  const output = params[classifier]
  if (!output) throw new Error(`no classifier is called ${classifier}`)
  const { shape } = output.weight
  const weights = weight(`${classifier}.weight`, { shape })
  output.weight.write(weights.map((x) => search.outputScale * x))
  const bias = weight(`${classifier}.bias`, { shape: [vocabulary] })
  output.bias.write(bias.map((x, id) => (id === eos ? x + search.endBias : x)))
  const state = scope(() => decoder.start(params, memory, beam, maxTokens))
  const forbidden = [pad, bos, unk]
  const found = await searchCaptions(
    (tokens, position, ancestors) => decoder.step(params, state, tokens, position, ancestors),
    { device, images, beams: beam, maxTokens, lengthPenalty, bos, eos, forbidden },
  )
  t.deepEqual(
    found.map(([best]) => best?.tokens),
    search.ids.map((expected) => [...expected]),
  )
  for (const [i, expected] of search.scores.entries())
    sameNumber(t, found[i]?.[0]?.score ?? 0, expected, `score of image ${i}`)
  for (const used of tensorsIn({ params, state })) used.release()
}
