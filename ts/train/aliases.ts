/**
 * Flags of other trainers as keys of ours: the nine of the EfficientNet + transformer trainer of
 * stanislavlia/dtsa5511_image_captioning (train_model.py). They set these keys and choose no preset; its own
 * models are the presets efficientnetb1-transformer-*.
 */
import { ArgumentError } from '../errors.js'

/**
 * Flag (without dashes) to config key. `batch_size` counts images here, each with `captionsPerImage` captions, and
 * captions there; `epochs` are passes over images here and over captions there. Both agree with one caption an image.
 */
export const flagAliases: ReadonlyMap<string, string> = new Map([
  ['seq_length', 'model.decoder.maxTokens'],
  ['batch_size', 'batchSize'],
  ['epochs', 'epochs'],
  ['embed_dim', 'model.decoder.dim'],
  ['ff_dim', 'model.decoder.feedForward'],
  ['enc_heads', 'model.decoder.memoryHeads'],
  ['dec_heads', 'model.decoder.heads'],
  ['artifact_dir', 'out'],
  ['lr', 'optimizer.learningRate'],
])

/** Presets of that trainer's models, whose heads are each as wide as the model. */
const ownPresets = 'efficientnetb1-transformer-'

/**
 * Flags with aliases replaced by our keys; all others stay. With one of that trainer's own presets `embed_dim` is the
 * width of each head too, as it is there.
 *
 * @throws ArgumentError when a key is given both ways
 */
export function expandAliases(flags: Readonly<Record<string, string>>): Record<string, string> {
  const expanded = new Map<string, string>()
  for (const [flag, value] of Object.entries(flags)) {
    const key = flagAliases.get(flag) ?? flag
    if (expanded.has(key)) {
      throw new ArgumentError(`flag --${flag}: ${key} is given twice. Leave one of the two out`)
    }
    expanded.set(key, value)
  }
  const headSize = 'model.decoder.headSize'
  if (flags.embed_dim !== undefined && flags.preset?.startsWith(ownPresets))
    expanded.set(headSize, flags[headSize] ?? flags.embed_dim)
  return Object.fromEntries(expanded)
}
