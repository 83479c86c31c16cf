/**
 * Pads packed captions to one of a few sizes, so that a captured training step fits the next batch, too. Pads follow a
 * caption's last token, where no other token sees them, and their targets are ignored: loss and gradients do not change.
 */
import type { HostCaptions } from './batches.js'

/** A target that counts for nothing in the loss. */
const ignored = -100

/**
 * The sizes to which a batch of captions is padded: tokens in all, rounded up to 16 to 32 steps in each power of two, and
 * tokens of the longest caption, rounded up to 16, at most `maxTokens`.
 */
export function paddedSizes(
  { tokens, offsets, longest }: HostCaptions,
  maxTokens: number,
): { readonly tokens: number; readonly longest: number } {
  const rows = offsets.length - 1
  const room = Math.min(maxTokens, Math.ceil(longest / 16) * 16)
  const step = Math.max(16, 2 ** Math.floor(Math.log2(tokens.length)) / 16)
  return { tokens: Math.min(rows * room, Math.ceil(tokens.length / step) * step), longest: room }
}

/**
 * The same captions with pads after the shortest ones.
 * @param maxTokens most tokens of a caption that the model has positions for
 */
export function padCaptions(host: HostCaptions, pad: number, maxTokens: number): HostCaptions {
  const sizes = paddedSizes(host, maxTokens)
  const lengths = Array.from({ length: host.offsets.length - 1 }, (_, row) => lengthOf(host, row))
  const padded = [...lengths]
  let missing = sizes.tokens - host.tokens.length
  for (const row of [...lengths.keys()].sort((a, b) => (lengths[a] ?? 0) - (lengths[b] ?? 0))) {
    const more = Math.min(missing, sizes.longest - (lengths[row] ?? 0))
    padded[row] = (padded[row] ?? 0) + more
    missing -= more
  }
  const tokens = new Int32Array(sizes.tokens).fill(pad)
  const targets = new Int32Array(sizes.tokens).fill(ignored)
  const positions = new Int32Array(sizes.tokens)
  const weights = host.weights && new Float32Array(sizes.tokens)
  const offsets = new Int32Array(host.offsets.length)
  for (const [row, length] of padded.entries()) {
    const at = offsets[row] ?? 0
    const [start, end] = host.offsets.subarray(row, row + 2)
    tokens.set(host.tokens.subarray(start, end), at)
    targets.set(host.targets.subarray(start, end), at)
    if (host.weights) weights?.set(host.weights.subarray(start, end), at)
    for (let i = 0; i < length; i++) positions[at + i] = i
    offsets[row + 1] = at + length
  }
  const padding = { tokens, targets, positions, offsets, longest: sizes.longest }
  return { ...host, ...padding, ...(weights && { weights }) }
}

function lengthOf({ offsets }: HostCaptions, row: number): number {
  return (offsets[row + 1] ?? 0) - (offsets[row] ?? 0)
}
