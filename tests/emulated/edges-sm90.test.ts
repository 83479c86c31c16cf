/** On the emulated card, compute capability 9.0, with all checks: sizes at the edges. */
import { useEmulator } from './use-emulator.js'

useEmulator({ capability: '9.0', check: true })
await import('../ops/edges.test.js')
