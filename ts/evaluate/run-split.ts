/** How the run that made a model split its data, where the data themselves do not say. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse } from 'yaml'
import { z } from 'zod'
import { CheckpointError } from '../errors.js'
import { systemCode } from '../files/system-error.js'

const runSchema = z.object({
  data: z.object({ seed: z.int().min(0), valFraction: z.number().min(0).lt(1) }),
})

/**
 * How the run that made the model split its data, so that no image it was trained on counts as held out. A model folder
 * that is no run folder has no such settings: then it is the defaults.
 */
export async function splitSettings(
  model: string,
): Promise<{ seed?: number; valFraction?: number }> {
  const path = join(model, 'config.yaml')
  try {
    const { seed, valFraction } = runSchema.parse(parse(await readFile(path, 'utf8'))).data
    return { seed, valFraction }
  } catch (cause) {
    if (systemCode(cause) === 'ENOENT') return {}
    throw new CheckpointError(
      `reading ${path}: expected the settings of a run, with data.seed and data.valFraction. ` +
        'It was changed by hand: restore it, or remove it if the data name their splits',
      { cause },
    )
  }
}
