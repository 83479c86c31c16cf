/** On the emulated card, compute capability 8.0, with all checks: rules on logits. */
import { useEmulator } from './use-emulator.js'

useEmulator({ capability: '8.0', check: true })
await import('../decoding/rules.test.js')
