/** On the emulated card, compute capability 9.0, with all checks: every op's samples. */
import { useEmulator } from './use-emulator.js'

useEmulator({ capability: '9.0', check: true })
await import('../ops/ops.test.js')
