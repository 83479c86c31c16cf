/**
 * A training run's tensors: trained parameters as views of flat buffers (optimizer.ts), frozen ones and running
 * statistics as tensors of their own. What is saved is always the float32 behind what the model computes with.
 */
import { initialValues } from '../models/initialize.js'
import { type CaptionModel, isTrained, type ModelParams, modelSpecs } from '../models/model.js'
import { materialize } from '../models/params.js'
import { computeCopy } from '../models/precision.js'
import { type StoredValues, toStored } from '../models/stored.js'
import type { Device } from '../native.js'
import type { FloatDtype } from '../ops/define-op.js'
import { scope, type Tensor, tensor, tensorsIn } from '../tensor.js'
import {
  createOptimizer,
  type Optimizer,
  type OptimizerName,
  refreshHalf,
  startAverage,
} from './optimizer.js'

export interface TrainingWeights {
  readonly params: ModelParams
  readonly optimizer: Optimizer
  /** Trained parameters as the model takes them, in the order of the optimizer's gradients. */
  readonly trained: readonly Tensor[]
  /** Frozen parameters and statistics, float32. */
  readonly others: readonly (readonly [name: string, tensor: Tensor])[]
  /** bfloat16 copies of frozen parameters. */
  readonly copies: readonly Tensor[]
}

export interface WeightOptions {
  /** The optimizer that trains them; `adamw` when left out. */
  readonly optimizer?: OptimizerName
  /** Whether a moving average of the trained ones is kept. */
  readonly average?: boolean
  /** Whether weight decay applies to embeddings and positions, too, as they are matrices. */
  readonly decayEmbeddings?: boolean
}

/**
 * @param pretrained values by name (`encoder.*`, `decoder.*`), instead of random ones
 * @param dtype what the model computes in
 */
export function createWeights(
  model: CaptionModel,
  frozen: number,
  pretrained: ReadonlyMap<string, Float32Array>,
  seed: number,
  device: Device,
  dtype: FloatDtype = 'float32',
  {
    optimizer: optimizerName = 'adamw',
    average = false,
    decayEmbeddings = false,
  }: WeightOptions = {},
): TrainingWeights {
  return scope(() => {
    const specs = new Map(modelSpecs(model))
    const valuesOf = (name: string) => {
      const spec = specs.get(name)
      if (!spec) throw new Error(`no parameter ${name}`)
      return pretrained.get(name) ?? initialValues(name, spec, seed)
    }
    const entries = [...specs]
      .filter(([name, spec]) => isTrained(model, name, spec, frozen))
      .map(([name, { shape, decay }]) => ({
        name,
        shape,
        decay: decay || (decayEmbeddings && shape.length > 1),
        group: name.startsWith('encoder.') ? ('encoder' as const) : ('decoder' as const),
      }))
    const optimizer = createOptimizer(optimizerName, entries, device, { dtype, average })
    const views = new Map(entries.map(({ name }, i) => [name, optimizer.views[i]]))
    for (const [name, master] of optimizer.masters) master.write(valuesOf(name))
    refreshHalf(optimizer)
    startAverage(optimizer)
    const others: [name: string, tensor: Tensor][] = []
    const copies: Tensor[] = []
    const params = materialize(model.specs, (name, spec) => {
      const view = views.get(name)
      if (view) return view
      const own = tensor(valuesOf(name), spec.shape, device)
      others.push([name, own])
      const used = computeCopy(spec, own, dtype)
      if (used !== own) copies.push(used)
      return used
    }) as ModelParams
    return { params, optimizer, trained: optimizer.views, others, copies }
  })
}

/** Frees all of it. */
export function releaseWeights(weights: TrainingWeights): void {
  for (const t of tensorsIn({ ...weights })) t.release()
}

/** Every value of the model on the host, as it is saved. */
export async function readValues(
  model: CaptionModel,
  { optimizer, others }: TrainingWeights,
): Promise<StoredValues[]> {
  const tensors = new Map([...optimizer.masters, ...others])
  return Promise.all(
    modelSpecs(model).map(async ([name, spec]) => {
      const values = await tensors.get(name)?.readFloats()
      return toStored(name, spec, values ?? new Float32Array())
    }),
  )
}
