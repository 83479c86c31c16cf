/**
 * Flags of other trainers as keys of ours: those of the EfficientNet + transformer trainer of
 * stanislavlia/dtsa5511_image_captioning (train_model.py).
 */
import { ArgumentError } from '../errors.js'

/**
 * Flag (without dashes) to config key. `batch_size` counts images here, each with `captionsPerImage`
 * captions, and captions there.
 */
export const flagAliases: ReadonlyMap<string, string> = new Map([
  ['seq_length', 'model.decoder.maxTokens'],
  ['batch_size', 'batchSize'],
  ['epochs', 'epochs'],
  ['embed_dim', 'model.decoder.dim'],
  ['ff_dim', 'model.decoder.feedForward'],
  ['dec_heads', 'model.decoder.heads'],
  ['artifact_dir', 'out'],
  ['lr', 'optimizer.learningRate'],
])

/**
 * Flags with aliases replaced by our keys; all others stay.
 *
 * @throws ArgumentError when a key is given both ways, or for `enc_heads`, which sets a transformer
 *   between encoder and decoder that no encoder of ours has
 */
export function expandAliases(flags: Readonly<Record<string, string>>): Record<string, string> {
  const expanded = new Map<string, string>()
  for (const [flag, value] of Object.entries(flags)) {
    if (flag === 'enc_heads') {
      throw new ArgumentError(
        'flag --enc_heads: this version has no transformer on the image side. Leave the flag out',
      )
    }
    const key = flagAliases.get(flag) ?? flag
    if (expanded.has(key)) {
      throw new ArgumentError(`flag --${flag}: ${key} is given twice. Leave one of the two out`)
    }
    expanded.set(key, value)
  }
  return Object.fromEntries(expanded)
}
