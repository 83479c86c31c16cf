/** Ten optimizer steps of a whole model, through the training loop's own step, against PyTorch's AdamW. */
import test from 'ava'
import { packCaptions } from '../../ts/data/batches.js'
import { normalizedPixels, pixelInput } from '../../ts/models/inference.js'
import { buildModel, modelSpecs } from '../../ts/models/model.js'
import { openDevice, synchronize } from '../../ts/native.js'
import { createStepCache } from '../../ts/step-cache.js'
import { memory, scope, type Tensor } from '../../ts/tensor.js'
import { specialIds } from '../../ts/tokenizer/tokenizer.js'
import { resolveConfig } from '../../ts/train/resolve-config.js'
import { freshState } from '../../ts/train/run-state.js'
import { queueStep, type StepParts } from '../../ts/train/step.js'
import { createWeights, releaseWeights } from '../../ts/train/weights.js'
import { pixels } from '../fixtures/filler.js'
import { deviceWeight, readFixture, type Summary, sameNumber, sameTensors } from './parity.js'

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

const results: Readonly<Record<'eager' | 'captured', number[]>> = { eager: [], captured: [] }

for (const way of ['eager', 'captured'] as const)
  test.serial(`ten steps, ${way}: losses, gradient norms and weights`, async (t) => {
    const fixture = readFixture<Fixture>('training')
    const { size, labelSmoothing, learningRate, weightDecay, clipNorm } = fixture
    const config = resolveConfig({
      preset: 'tiny',
      overrides: {
        data: { path: '.' },
        model: {
          image: { size },
          decoder: { ...fixture.decoder, dropout: 0, attentionDropout: 0 },
        },
        optimizer: { learningRate, weightDecay, clipNorm, labelSmoothing },
        schedule: { name: 'constant', warmupSteps: 0 },
      },
    })
    const device = openDevice('cpu')
    const before = memory(device)
    const model = buildModel(config.model, fixture.vocabulary)
    const specs = modelSpecs(model)
    const values = new Map(specs.map(([name, spec]) => [name, deviceWeight(name, spec)]))
    const weights = createWeights(model, 0, values, 0, device)
    const run: StepParts = {
      config,
      device,
      model,
      weights,
      frozenStages: 0,
      folds: new Map(),
      steps: createStepCache(device, way === 'captured'),
      state: freshState(''),
      source: {
        load: async () => ({ count: 0, inputs: {} }),
        prefetch: () => {},
        memory: ({ images }, _count, params, mode) =>
          scope(() =>
            model.encode(params, normalizedPixels(model, images as Tensor, 'float32'), mode),
          ),
      },
    }
    const batches = fixture.captions.map((captions, i) => {
      const count = captions.length
      const data = pixels(`pixels.${i}`, count * size * size * 3)
      const images = { count, inputs: { images: pixelInput(model, data) } }
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
      results[way].push(loss, norm)
      sameNumber(t, norm, fixture.gradientNorms[step] ?? 0, `norm of step ${step}`, tolerance)
    }
    const views = weights.optimizer.masters.filter(([name]) => name in fixture.weights)
    t.true(views.length > 50)
    await sameTensors(t, new Map(views), fixture.weights, 'value', new Map(specs), tolerance)
    run.steps.dispose()
    releaseWeights(weights)
    await synchronize(device)
    t.is(memory(device).liveTensors, before.liveTensors)
    t.is(memory(device).liveBytes, before.liveBytes)
  })

test.serial('captured steps give the bits of eager ones', (t) => {
  t.true(results.eager.length > 10)
  t.deepEqual(results.captured, results.eager)
})
