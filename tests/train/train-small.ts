/** A process of its own that trains a small run, for tests that kill it. Arguments: data, out, resume or fresh. */
import { train } from '../../ts/train/train.js'
import { smallRun } from './small-run.js'

const [data = '', out = '', how = 'fresh'] = process.argv.slice(2)
await train({
  ...smallRun(data, out),
  resume: how === 'resume',
  onProgress: ({ step }) => process.stdout.write(`${step}\n`),
})
