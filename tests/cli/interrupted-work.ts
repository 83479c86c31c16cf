/** A process whose work does not end by itself, for interrupt.test.ts: says when it is at work. */
import { setTimeout as sleep } from 'node:timers/promises'
import { interruptible } from '../../ts/cli/interrupt.js'

await interruptible('stopping', async () => {
  console.log('working')
  await sleep(60_000)
})
