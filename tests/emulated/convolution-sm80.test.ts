/** On the emulated card, compute capability 8.0, with all checks: what the samples cannot say about convolutions. */
import { useEmulator } from './use-emulator.js'

useEmulator({ capability: '8.0', check: true })
await import('../ops/convolution.test.js')
