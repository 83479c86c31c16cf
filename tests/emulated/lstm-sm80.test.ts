/** On the emulated card, compute capability 8.0, with all checks: the LSTM decoder against PyTorch, and its steps. */
import { useEmulator } from './use-emulator.js'

useEmulator({ capability: '8.0', check: true })
await import('../models/lstm.test.js')
