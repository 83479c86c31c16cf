/** On the emulated card with one multiprocessor, compute capability 9.0: tiles that follow one another in a block. */
import { useEmulator } from './use-emulator.js'

useEmulator({
  capability: '9.0',
  check: true,
  schedule: 'random',
  async: 'random',
  processors: 1,
  ops: ['linear', 'convolution', 'convolutionBatchNorm'],
})
await import('../ops/ops.test.js')
