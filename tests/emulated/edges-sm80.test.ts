/** On the emulated card, compute capability 8.0, with all checks: sizes at the edges. */
import { useEmulator } from './use-emulator.js'

useEmulator({ capability: '8.0', check: true })
await import('../ops/edges.test.js')
