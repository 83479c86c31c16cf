/** Ten optimizer steps of a whole model, through the training loop's own step, against PyTorch's AdamW. */
import test from 'ava'
import { packCaptions } from '../../ts/data/batches.js'
import { normalizedPixels } from '../../ts/models/inference.js'
import { buildModel, modelSpecs } from '../../ts/models/model.js'
import { openDevice } from '../../ts/native.js'
import { scope, tensorsIn } from '../../ts/tensor.js'
import { specialIds } from '../../ts/tokenizer/tokenizer.js'
import { resolveConfig } from '../../ts/train/resolve-config.js'
import { freshState } from '../../ts/train/run-state.js'
import { queueStep, type StepParts } from '../../ts/train/step.js'
import { createWeights } from '../../ts/train/weights.js'
import { pixels, weight } from '../fixtures/filler.js'
import { readFixture, type Summary, sameNumber, sameTensors } from './parity.js'

interface Fixture {
  readonly decoder: Readonly<Record<string, unknown>>
  readonly size: number
  readonly vocabulary: number
  readonly labelSmoothing: number
  readonly learningRate: number
  readonly weightDecay: number
  readonly clipNorm: number
  readonly captions: readonly (readonly (readonly (readonly number[])[])[])[]
  readonly losses: readonly number[]
  readonly gradientNorms: readonly number[]
  readonly weights: Readonly<Record<string, Summary>>
}

/** Errors of ten steps add up; the first step's loss is held to more. */
const tolerance = 1e-3

test('ten steps: losses, gradient norms and weights', async (t) => {
  const fixture = readFixture<Fixture>('training')
  const { size, labelSmoothing, learningRate, weightDecay, clipNorm } = fixture
  const config = resolveConfig({
    preset: 'tiny',
    overrides: {
      data: { path: '.' },
      model: { image: { size }, decoder: { ...fixture.decoder, dropout: 0, attentionDropout: 0 } },
      optimizer: { learningRate, weightDecay, clipNorm, labelSmoothing },
      schedule: { name: 'constant', warmupSteps: 0 },
    },
  })
  const device = openDevice('cpu')
  const model = buildModel(config.model, fixture.vocabulary)
  const values = new Map(modelSpecs(model).map(([name, spec]) => [name, weight(name, spec)]))
  const weights = createWeights(model, 0, values, 0, device)
  const run: StepParts = {
    config,
    device,
    model,
    weights,
    frozenStages: 0,
    folds: new Map(),
    state: freshState(''),
    source: {
      load: async () => ({ count: 0 }),
      prefetch: () => {},
      memory: ({ data }, params, mode) =>
        scope(() =>
          model.encode(params, normalizedPixels(model, data as Uint8Array, device), mode),
        ),
    },
  }
  const batches = fixture.captions.map((captions, i) => {
    const count = captions.length
    const images = { count, data: pixels(`pixels.${i}`, count * size * size * 3) }
    const text = packCaptions(captions, specialIds)
    const captionCount = text.offsets.length - 1
    return {
      batches: [{ images, text }],
      imageCount: count,
      captionCount,
      tokens: text.tokens.length,
    }
  })
  for (const [step, expected] of fixture.losses.entries()) {
    const input = batches[step % batches.length]
    if (!input) throw new Error('no batch')
    const { loss, norm } = await queueStep(run, input, step, 0).results
    sameNumber(t, loss, expected, `loss of step ${step}`, step === 0 ? 1e-5 : tolerance)
    sameNumber(t, norm, fixture.gradientNorms[step] ?? 0, `norm of step ${step}`, tolerance)
  }
  const views = [...weights.optimizer.views].filter(([name]) => name in fixture.weights)
  t.true(views.length > 50)
  await sameTensors(t, new Map(views), fixture.weights, 'value', tolerance)
  for (const used of tensorsIn({ ...weights.optimizer, ...weights })) used.release()
})
