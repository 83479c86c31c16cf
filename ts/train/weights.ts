/**
 * A training run's tensors: trained parameters as views of flat buffers (optimizer.ts), frozen ones and running
 * statistics as tensors of their own.
 */
import { initialValues } from '../models/initialize.js'
import { type CaptionModel, isTrained, type ModelParams, modelSpecs } from '../models/model.js'
import type { NamedValues } from '../models/model-folder.js'
import { materialize, namedTensors } from '../models/params.js'
import type { Device } from '../native.js'
import { scope, type Tensor, tensor } from '../tensor.js'
import { createOptimizer, type Optimizer } from './optimizer.js'

export interface TrainingWeights {
  readonly params: ModelParams
  readonly optimizer: Optimizer
  /** Trained parameters, in the order of the optimizer's gradients. */
  readonly trained: readonly Tensor[]
  /** Frozen parameters and statistics. */
  readonly others: readonly Tensor[]
}

/** @param pretrained values by name (`encoder.*`), instead of random ones */
export function createWeights(
  model: CaptionModel,
  frozen: number,
  pretrained: ReadonlyMap<string, Float32Array>,
  seed: number,
  device: Device,
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
        decay,
        group: name.startsWith('encoder.') ? ('encoder' as const) : ('decoder' as const),
      }))
    const optimizer = createOptimizer(entries, device)
    for (const [name, view] of optimizer.views) view.write(valuesOf(name))
    const others: Tensor[] = []
    const params = materialize(model.specs, (name, spec) => {
      const view = optimizer.views.get(name)
      if (view) return view
      const own = tensor(valuesOf(name), spec.shape, device)
      others.push(own)
      return own
    }) as ModelParams
    return { params, optimizer, trained: [...optimizer.views.values()], others }
  })
}

/** Every value of the model on the host, to be saved. */
export async function readValues(
  model: CaptionModel,
  { params }: TrainingWeights,
): Promise<NamedValues[]> {
  const tensors = new Map(namedTensors(params))
  return Promise.all(
    modelSpecs(model).map(async ([name, spec]) => {
      const values = await tensors.get(name)?.readFloats()
      return { name, spec, values: values ?? new Float32Array() }
    }),
  )
}
