/** On the emulated card, compute capability 9.0, with all checks: sampling. */
import { useEmulator } from './use-emulator.js'

useEmulator({ capability: '9.0', check: true })
await import('../decoding/sample.test.js')
