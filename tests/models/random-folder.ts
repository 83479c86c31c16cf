/** A model folder with random weights, whose pictures have captions of their own; made in a moment, without training. */

import { generationSchema } from '../../ts/decoding/generation.js'
import { buildModel } from '../../ts/models/model.js'
import { saveModelFolder } from '../../ts/models/model-folder.js'
import { openDevice } from '../../ts/native.js'
import { createRandom } from '../../ts/random.js'
import { specialIds } from '../../ts/tokenizer/tokenizer.js'
import { trainWordTokenizer } from '../../ts/tokenizer/word.js'
import { resolveConfig } from '../../ts/train/resolve-config.js'
import { createWeights, readValues, releaseWeights } from '../../ts/train/weights.js'

/** Words of its vocabulary: word0 to word59. */
const words = Array.from({ length: 60 }, (_, i) => `word${i}`)

/**
 * @param generation what its generation.json says besides the usual
 * @param decoder    settings of a decoder other than the usual
 */
export async function randomModelFolder(
  path: string,
  generation: object = {},
  decoder: object = {},
): Promise<void> {
  const config = resolveConfig({
    preset: 'tiny',
    overrides: {
      'data.path': '.',
      model: {
        image: { size: 32 },
        decoder: { dim: 32, layers: 2, heads: 4, feedForward: 64, ...decoder },
      },
    },
  })
  const tokenizer = trainWordTokenizer(words)
  const model = buildModel(config.model, tokenizer.vocabularySize)
  const weights = createWeights(model, 0, new Map(), 3, openDevice('cpu'))
  const random = createRandom(7)
  const stored = (await readValues(model, weights)).map(({ name, shape, values }) => ({
    name,
    shape,
    values: name.includes('running')
      ? values
      : values.map((_, id) =>
          name === 'decoder.output.bias' ? Number(id === specialIds.eos) : 2 * random() - 1,
        ),
  }))
  releaseWeights(weights)
  const defaults = generationSchema.parse({ maxTokens: 12, ...generation })
  await saveModelFolder(path, model, tokenizer, defaults, stored, 'A random model.', '0.0.0')
}
