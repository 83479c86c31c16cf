/** Run by guarded.test.ts: an attending LSTM of the size that is used, whose captions end at different steps. */
import { synchronize } from '../../ts/native.js'
import { attendingLstm } from '../../ts/ops/attending-lstm.js'
import { weightedSum } from '../../ts/ops/weighted-sum.js'
import { createRandom } from '../../ts/random.js'
import { differentiate } from '../../ts/tape.js'
import { sizeOf, type Tensor, tensor, tensorScope } from '../../ts/tensor.js'
import { device } from '../device.js'

const [images, rowsPerKey, cells, features, size] = [32, 5, 49, 1280, 512]

let seed = 0
function random(...shape: number[]): Tensor {
  const next = createRandom(++seed)
  const values = Float32Array.from({ length: sizeOf(shape) }, () => (next() - 0.5) / 10)
  return tensor(values, shape, device)
}

using _ = tensorScope()
const lengths = Array.from({ length: images * rowsPerKey }, (_, i) => 1 + ((i * 7) % 13))
const ends = lengths.map((_, i) => lengths.slice(0, i + 1).reduce((sum, n) => sum + n, 0))
const tokens = ends.at(-1) ?? 0
const inputs = {
  x: random(tokens, size),
  memory: random(images * cells, features),
  keys: random(images * cells, size),
  h0: random(images, size),
  c0: random(images, size),
  decoderWeight: random(size, size),
  decoderBias: random(size),
  scoreWeight: random(1, size),
  scoreBias: random(1),
  gateWeight: random(features, size),
  gateBias: random(features),
  inputWeight: random(4 * size, size + features),
  inputBias: random(4 * size),
  hiddenWeight: random(4 * size, size),
  hiddenBias: random(4 * size),
  offsets: tensor(Int32Array.from([0, ...ends]), [ends.length + 1], device),
}
const weights = random(tokens * (size + cells))
const run = () => weightedSum({ x: attendingLstm(inputs, { rowsPerKey, longest: 13 }), weights })
run()
const [, gradients] = differentiate([inputs.x, inputs.memory, inputs.hiddenWeight], run)
if (gradients.includes(undefined)) throw new Error('a gradient is missing')
await synchronize(device)
console.log('done')
