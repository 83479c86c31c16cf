/** Two training steps of a small model on the emulated card; prints the losses and a checksum of every weight. */
import { createHash } from 'node:crypto'
import { packCaptions, uploadCaptions } from '../../ts/data/batches.js'
import { resnet } from '../../ts/models/encoders/resnet.js'
import { normalizedPixels } from '../../ts/models/inference.js'
import { trainingMode } from '../../ts/models/mode.js'
import { buildModel } from '../../ts/models/model.js'
import { openDevice } from '../../ts/native.js'
import { differentiate } from '../../ts/tape.js'
import { scope, tensor } from '../../ts/tensor.js'
import { specialIds } from '../../ts/tokenizer/tokenizer.js'
import { optimizerStep } from '../../ts/train/optimizer.js'
import { resolveModel } from '../../ts/train/resolve-config.js'
import { createWeights } from '../../ts/train/weights.js'
import { pixels } from '../fixtures/filler.js'

const size = 32
const captions = [
  [
    [9, 5, 30, 7],
    [12, 6],
  ],
  [
    [31, 8, 9],
    [36, 11, 10, 5, 21],
  ],
]
const device = openDevice('cuda')
const config = resolveModel({
  preset: 'tiny',
  overrides: {
    model: {
      image: { size },
      decoder: { dim: 64, heads: 2, feedForward: 96, layers: 2, maxTokens: 8, dropout: 0.1 },
    },
  },
})
const model = buildModel(
  config,
  37,
  true,
  resnet(
    'resnet18',
    { normEpsilon: 1e-5 },
    { bottleneck: false, blocks: [2, 2, 2, 2], widths: [8, 8, 16, 16] },
  ),
)
const weights = createWeights(model, 0, new Map(), 1, device, 'bfloat16')
const learningRate = tensor([1e-3], [1], device)
const losses: string[] = []
for (let step = 0; step < 2; step++) {
  const loss = scope(() => {
    const mode = trainingMode(tensor(Int32Array.of(7, 0, step), [3], device), 0, new Map())
    const shape = [captions.length, size, size, 3]
    const images = tensor(pixels('pixels', captions.length * size * size * 3), shape, device)
    const [found] = differentiate(
      weights.trained,
      () =>
        model.decoder.loss(
          weights.params.decoder,
          model.encode(weights.params, normalizedPixels(model, images, 'bfloat16'), mode),
          uploadCaptions(packCaptions(captions, specialIds), device),
          { labelSmoothing: 0.1 },
          mode,
        ),
      weights.optimizer.gradViews,
    )
    optimizerStep(weights.optimizer, learningRate, {
      name: 'adamw',
      encoderScale: 1,
      beta1: 0.9,
      beta2: 0.999,
      epsilon: 1e-8,
      weightDecay: 0.01,
      momentum: 0,
      rectify: false,
      clipNorm: 1,
      clipValue: 0,
    })
    return found
  })
  losses.push(((await loss.readFloats())[0] ?? Number.NaN).toString())
}
const bytes = new Uint8Array((await weights.optimizer.weight.readFloats()).buffer)
console.log(losses.join(' '), createHash('sha256').update(bytes).digest('hex'))
