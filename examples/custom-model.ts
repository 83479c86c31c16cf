/**
 * A model of one's own from the pieces that the captioners are made of: a convolution and a linear layer learn to tell the
 * colour of a drawn square. `node dist/examples/custom-model.js`
 */
import * as captioneer from 'captioneer'

const { differentiate, materialize, nn, ops, param, scope, tensor } = captioneer
const device = captioneer.openDevice('auto')
const colours = ['220 40 40', '40 170 60', '50 80 220'].map((rgb) => rgb.split(' ').map(Number))
const [side, batch, rate] = [12, 32, 0.5]
let state = 1

const spec = {
  conv: { ...nn.convolutionSpec(3, 8, 3), bias: param([8], { kind: 'constant', value: 0 }) },
  head: nn.linearSpec(8, colours.length),
}
const params = materialize(spec, (_, each) => tensor(start(each), each.shape, device))
const weights = [...captioneer.namedTensors(params)].map(([, weight]) => weight)

for (let step = 1; step <= 60; step++) {
  const classes = Int32Array.from({ length: batch }, () => Math.floor(3 * random()))
  const drawn = tensor(squares(classes), [batch, side, side, 3], device)
  const targets = tensor(classes, [batch], device)
  const [loss, grads] = scope(() => differentiate(weights, () => lossOf(drawn, targets)))
  for (const [i, weight] of weights.entries()) {
    const [values, slope] = [await weight.readFloats(), await grads[i]?.readFloats()]
    weight.write(values.map((value, j) => value - rate * (slope?.[j] ?? 0)))
  }
  if (step % 20 === 0) console.log(`step ${step}: loss ${(await loss.readFloats())[0]?.toFixed(4)}`)
  // Outside of a scope nobody owns a tensor.
  for (const each of [drawn, targets, loss, ...grads]) each?.release()
}

/** From 0 to 1, the same numbers in every run. Source: Park, Miller and Stockmeyer 1993, "minimal standard". */
function random(): number {
  state = (48_271 * state) % 2_147_483_647
  return state / 2_147_483_647
}

/** x uint8 [B, H, W, 3], targets int32 [B] to the mean cross-entropy [1], in nats. */
function lossOf(x: captioneer.Tensor, targets: captioneer.Tensor): captioneer.Tensor {
  const [half, denominator] = [tensor([0.5, 0.5, 0.5], [3], device), tensor([batch], [1], device)]
  const image = ops.normalizeImage({ x, mean: half, std: half })
  const map = ops.convolution({ x: image, ...params.conv }, { padding: 1, activation: 'relu' })
  const features = ops.reshape({ x: ops.adaptiveAveragePool({ x: map }) }, { shape: [batch, 8] })
  return ops.linearCrossEntropy({ x: features, ...params.head, targets, denominator })
}

/** Grey pictures [B, side, side, 3], each with a square of its colour. */
function squares(classes: Int32Array): Uint8Array {
  const places = Array.from(classes, () => 3 + 6 * random())
  return Uint8Array.from({ length: batch * side * side * 3 }, (_, i) => {
    const [image, row, column] = [
      Math.floor(i / 432),
      Math.floor(i / 36) % 12,
      Math.floor(i / 3) % 12,
    ]
    const inside = Math.abs(row - 6) < 3 && Math.abs(column - (places[image] ?? 0)) < 3
    return inside ? (colours[classes[image] ?? 0]?.[i % 3] ?? 0) : 128
  })
}

function start({ shape, init }: captioneer.ParamSpec): Float32Array {
  const bound = init.kind === 'uniform' ? init.bound : init.kind === 'normal' ? init.std * 1.7 : 0
  return new Float32Array(shape.reduce((a, b) => a * b)).map(() => bound * (2 * random() - 1))
}
