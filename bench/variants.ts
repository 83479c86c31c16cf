/** In which ways PyTorch is run beside us. What each does is in peers/serve.py. */
import { ArgumentError, nearest } from '../ts/errors.js'
import type { Device } from '../ts/native.js'

export const variantNames = ['eager-tf32', 'eager', 'graphs', 'compile', 'compile-max'] as const

export type Variant = (typeof variantNames)[number]

/** What a device's PyTorch can do, and what of it is measured unless others are asked for. */
const known: Readonly<Record<Device['name'], { all: readonly Variant[]; usual: Variant[] }>> = {
  cpu: { all: ['eager', 'compile'], usual: ['eager'] },
  cuda: { all: variantNames, usual: [...variantNames] },
}

/** Help for people. */
export const variantHelp =
  'PyTorch beside us, separated by commas: eager-tf32 (float32 with TF32), eager (bfloat16 by autocast), graphs (eager, the ' +
  'whole step one CUDA graph), compile, compile-max (max-autotune, the whole step one CUDA graph); on the CPU eager and ' +
  'compile, in float32'

/**
 * The variants of a comma-separated list; without one, the usual.
 * @throws ArgumentError for a name that `device` does not know
 */
export function variantsFor(device: Device['name'], list: string | undefined): readonly Variant[] {
  const { all, usual } = known[device]
  if (list === undefined) return usual
  return list.split(',').map((name) => {
    const found = all.find((variant) => variant === name)
    if (found !== undefined) return found
    const near = nearest(name, all)
    const hint = near === undefined ? '' : ` Did you mean ${near}?`
    throw new ArgumentError(
      `--variants: expected some of ${all.join(', ')} on device ${device}, received ${name}.${hint}`,
    )
  })
}
