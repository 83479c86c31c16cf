/** On the emulated card, compute capability 9.0, with all checks: decoding with a cache. */
import { useEmulator } from './use-emulator.js'

useEmulator({ capability: '9.0', check: true })
await import('../decoding/attend-cache.test.js')
