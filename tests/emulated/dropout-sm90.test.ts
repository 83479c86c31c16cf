/** On the emulated card, compute capability 9.0, with all checks: what the samples cannot show of dropout. */
import { useEmulator } from './use-emulator.js'

useEmulator({ capability: '9.0', check: true })
await import('../ops/dropout.test.js')
