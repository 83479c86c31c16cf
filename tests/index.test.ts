/** The public API: what is there, and nothing by accident. */
import test from 'ava'
import * as captioneer from '../ts/index.js'

test('the names of the public API', (t) => {
  const errors = Object.keys(captioneer).filter((name) => name.endsWith('Error'))
  t.deepEqual(errors, [
    'ArgumentError',
    'CaptioneerError',
    'CheckpointError',
    'DataError',
    'DeviceError',
    'DisposedError',
    'DtypeError',
    'ImageError',
    'OutOfMemoryError',
    'ShapeError',
  ])
  const others = Object.keys(captioneer).filter((name) => !name.endsWith('Error'))
  t.is(
    others.join(' '),
    'Captioner Scope Tape Tensor caption countParameters differentiate empty evaluate inferenceMode ' +
      'loadCaptioner materialize memory namedSpecs namedTensors nn openDevice ops param presetNames reportRun scope ' +
      'scoreCaptions statistic synchronize tensor tensorScope train trainingMode view zeros',
  )
})

test('its pieces build a model: a linear layer learns y = 2x', async (t) => {
  const { differentiate, nn, openDevice, ops, scope, tensor } = captioneer
  const device = openDevice('cpu')
  const weight = tensor([0], [1, 1], device)
  const bias = tensor([0], [1], device)
  const spec = nn.linearSpec(1, 1)
  t.deepEqual([spec.weight.shape, spec.bias.shape], [weight.shape, bias.shape])
  for (let step = 0; step < 100; step++) {
    const grads = scope(() => {
      const x = tensor([1, -1], [2, 1], device)
      const minusY = tensor([-2, 2], [2, 1], device)
      const [, [dweight]] = differentiate([weight], () => {
        const error = ops.add({ a: ops.linear({ x, weight, bias }), b: minusY })
        return squaredSum(error)
      })
      return { dweight }
    })
    const [now = 0] = await weight.readFloats()
    const [slope = 0] = (await grads.dweight?.readFloats()) ?? []
    weight.write(Float32Array.of(now - 0.1 * slope))
    grads.dweight?.release()
  }
  t.true(Math.abs(((await weight.readFloats())[0] ?? 0) - 2) < 1e-3)
  for (const each of [weight, bias]) each.release()

  // [N, 1] -> [1]: the product of its transpose with itself.
  function squaredSum(error: captioneer.Tensor): captioneer.Tensor {
    const row = ops.reshape({ x: error }, { shape: [1, error.size] })
    return ops.reshape({ x: ops.linear({ x: row, weight: row }) }, { shape: [1] })
  }
})
