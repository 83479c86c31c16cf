/** What a run takes over from the model that it starts from. Going on with a run, moments and all, is save.ts's. */
import { CheckpointError, shapeText } from '../errors.js'
import { type CaptionModel, modelSpecs } from '../models/model.js'
import type { ModelFolder } from '../models/model-folder.js'
import type { Tokenizer } from '../tokenizer/tokenizer.js'
import { saveTokenizer } from '../tokenizer/tokenizer-json.js'

export interface Start {
  /** Values by name, in the device's layout. */
  readonly values: ReadonlyMap<string, Float32Array>
  /** What was taken and what not, in words. */
  readonly summary: string
}

/**
 * The weights of a model folder that fit `model`. With another tokenizer than the folder's, tensors with a row for each
 * word do not fit, whatever their shape.
 * @param strict refuse when anything on either side does not fit
 * @throws CheckpointError naming the tensors that do not fit
 */
export function startingValues(
  folder: ModelFolder,
  model: CaptionModel,
  tokenizer: Tokenizer,
  strict: boolean,
): Start {
  const sameWords = saveTokenizer(folder.tokenizer) === saveTokenizer(tokenizer)
  const theirs = new Map(modelSpecs(folder.model))
  const values = new Map<string, Float32Array>()
  const misfits: string[] = []
  for (const [name, { shape }] of modelSpecs(model)) {
    const other = theirs.get(name)
    const found = folder.weights.get(name)
    theirs.delete(name)
    if (!other || !found) misfits.push(`${name} (not there)`)
    else if (shapeText(shape) !== shapeText(other.shape))
      misfits.push(`${name} (${shapeText(other.shape)} there, ${shapeText(shape)} here)`)
    else if (!sameWords && shape[0] === model.vocabulary) misfits.push(`${name} (other words)`)
    else values.set(name, found)
  }
  const unused = [...theirs.keys()].map((name) => `${name} (not here)`)
  const all = [...misfits, ...unused]
  if (strict && all.length > 0)
    throw new CheckpointError(
      `train: the model of init, ${folder.path}, does not fit this one: ${some(all)}. ` +
        'Leave the settings of the model to it, or take what fits with --initStrict false',
    )
  const left = misfits.length > 0 ? `; these start anew: ${some(misfits)}` : ''
  const over = unused.length > 0 ? `; not used: ${some(unused)}` : ''
  return {
    values,
    summary: `starting from ${folder.path}: ${values.size} tensors${left}${over}`,
  }
}

function some(names: readonly string[]): string {
  const shown = names.slice(0, 5).join(', ')
  return names.length > 5 ? `${shown} and ${names.length - 5} more` : shown
}
