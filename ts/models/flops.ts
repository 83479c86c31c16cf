/**
 * Operations of a model, counted where they happen: the model's own forward runs on a device that computes nothing
 * and counts the products of convolutions and linear layers. Parameters are counted in params.ts.
 */
import type { Kernels } from '../kernels.js'
import type { Device } from '../native.js'
import { empty, scope, type Tensor } from '../tensor.js'
import { dropFolds, type FoldCache, inferenceMode } from './mode.js'
import type { CaptionModel, ModelParams } from './model.js'
import { materialize } from './params.js'

/** Operations (two for each multiply-add) by parameter, `encoder.conv1.weight`. */
export type Flops = ReadonlyMap<string, number>

export interface ModelFlops {
  /** Of the encoder, for one image. */
  readonly encoder: Flops
  /** Of the decoder, once for each image: projection of the image memory to keys and values. */
  readonly memory: Flops
  /** Of the decoder, for each token of a caption. */
  readonly token: Flops
}

/**
 * Counts the operations of captioning one image, greedily. Convolutions and linear layers count; norms, activations
 * and the products inside attention, a few per cent, do not.
 */
export function countFlops(model: CaptionModel): ModelFlops {
  const { device, names, count } = countingDevice()
  const folds: FoldCache = new Map()
  const { size } = model.config.image
  try {
    return scope(() => {
      const params = materialize(model.specs, (name, spec) => {
        const t = empty(spec.shape, 'float32', device)
        names.set(t.id, name)
        return t
      }) as ModelParams
      const pixels = empty([1, size, size, 3], 'float32', device)
      const { decoder } = model
      const encoder = count(() =>
        model.image ? model.encode(params, pixels, inferenceMode(folds)) : model.noImage(1, params),
      )
      const memory = empty([model.cells, model.encoder.channels], 'float32', device)
      const start = count(() => decoder.start(params.decoder, memory, 1, 1))
      const [tokens, ancestors] = [empty([1], 'int32', device), empty([1, 1], 'int32', device)]
      const token = count(() => decoder.step(params.decoder, start.result, tokens, 0, ancestors))
      return { encoder: encoder.flops, memory: start.flops, token: token.flops }
    })
  } finally {
    dropFolds(folds)
  }
}

/** A device whose tensors have no memory and whose kernels only count. `names` says which parameter a tensor is. */
function countingDevice() {
  const names = new Map<number, string>()
  let counted = new Map<string, number>()
  let next = 1

  const rename = (from: number, to: number) => {
    const name = names.get(from)
    if (name !== undefined) names.set(to, name)
  }
  const add = (weight: Tensor, flops: number) => {
    const name = names.get(weight.id) ?? 'other'
    counted.set(name, (counted.get(name) ?? 0) + flops)
  }
  const counting: Partial<Kernels> = {
    // Each output is a sum over the inputs of its group and the places of the window.
    convolution: (out, _x, weight) => {
      const [outputs = 1] = weight.shape
      add(weight, (2 * out.size * weight.size) / outputs)
    },
    linear: (out, _pre, x, weight) => add(weight, 2 * out.size * (x.shape.at(-1) ?? 1)),
    attendingLstmStep: (hidden, ...inputs) => {
      const [rows = 1] = hidden.shape
      const [, , , , , , , , decoder, , , gate, , input, , recurrent] = inputs
      for (const weight of [decoder, gate, input, recurrent]) add(weight, 2 * rows * weight.size)
    },
    foldBatchNorm: (folded, _bias, weight) => rename(weight.id, folded.id),
  }
  const nothing = () => {}
  const device: Device = {
    name: 'cpu',
    description: 'counts operations',
    kernels: new Proxy(counting as Kernels, {
      get: (known, name) => known[name as keyof Kernels] ?? nothing,
    }),
    native: {
      name: 'cpu',
      description: 'counts operations',
      kernels: {},
      allocate: () => next++,
      upload: () => next++,
      view: (handle) => {
        rename(handle, next)
        return next++
      },
      free: nothing,
      write: nothing,
      read: async () => new ArrayBuffer(0),
      memory: () => ({
        liveTensors: 0,
        liveBytes: 0,
        peakBytes: 0,
        reservedBytes: 0,
        totalBytes: 0,
        availableBytes: 0,
      }),
      resetPeak: nothing,
      setProfiling: nothing,
      timings: () => ({}),
      beginCapture: nothing,
      endCapture: () => 0,
      abortCapture: nothing,
      replay: nothing,
      freeGraph: nothing,
    },
  }
  const count = <T>(body: () => T): { readonly result: T; readonly flops: Flops } => {
    counted = new Map()
    return { result: scope(body), flops: counted }
  }
  return { device, names, count }
}
