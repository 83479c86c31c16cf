/** On the emulated card, compute capability 8.0, with all checks: captured graphs. */
import { useEmulator } from './use-emulator.js'

useEmulator({ capability: '8.0', check: true })
await import('../capture.test.js')
