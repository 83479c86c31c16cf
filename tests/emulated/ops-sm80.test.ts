/** On the emulated card, compute capability 8.0, with all checks: every op's samples. */
import { useEmulator } from './use-emulator.js'

useEmulator({ capability: '8.0', check: true })
await import('../ops/ops.test.js')
