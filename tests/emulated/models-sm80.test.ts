/** On the emulated card, compute capability 8.0, with all checks: one training step of a model of each kind. */
import { useEmulator } from './use-emulator.js'

useEmulator({ capability: '8.0', check: true })
await import('../models/backends.test.js')
