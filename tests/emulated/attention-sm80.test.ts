/** On the emulated card, compute capability 8.0, with all checks: what attention promises beyond its ops. */
import { useEmulator } from './use-emulator.js'

useEmulator({ capability: '8.0', check: true })
await import('../ops/attention-kernel.test.js')
