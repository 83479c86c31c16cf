/** Run and killed by checkpoint-crash.test.ts: saves checkpoint after checkpoint, and prints each step. */
import { writeSync } from 'node:fs'
import { saveCheckpoint } from '../../ts/train/checkpoint.js'

/** The tensor that stands in the checkpoint of a step: 4 MiB, another for each step. */
export function contentOf(step: number): Float32Array {
  return new Float32Array(1 << 20).fill(step)
}

if (process.argv[1] === import.meta.filename) {
  const [folder = '', first] = process.argv.slice(2)
  for (let step = Number(first); ; step++) {
    const data = new Uint8Array(contentOf(step).buffer)
    const weight = { name: 'weight', dtype: 'F32', shape: [1 << 20], data } as const
    await saveCheckpoint(folder, step, [weight], { step }, { keep: 2 })
    writeSync(1, `${step}\n`)
  }
}
