/** On the emulated card, compute capability 8.0, with all checks: sampling. */
import { useEmulator } from './use-emulator.js'

useEmulator({ capability: '8.0', check: true })
await import('../decoding/sample.test.js')
