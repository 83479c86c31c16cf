/** On the emulated card, compute capability 8.0, with all checks: decoding with a cache. */
import { useEmulator } from './use-emulator.js'

useEmulator({ capability: '8.0', check: true })
await import('../decoding/attend-cache.test.js')
