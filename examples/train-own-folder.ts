/**
 * Trains on a folder of pictures with captions, and tells how it goes:
 * `node dist/examples/train-own-folder.js ./photos ./runs/mine [mobilenet_v2.safetensors]`.
 * With weights it takes the preset for photographs, without them the small one of the demo. docs/own-data.md says
 * which layouts of folders are read.
 */
import { train } from 'captioneer'

const [data, out, encoderWeights] = process.argv.slice(2)
if (data === undefined || out === undefined) {
  throw new Error('expected a folder of data and a run folder that does not exist yet')
}

// Ctrl-C ends the run after the step at work; the same call with `resume: true` goes on from there.
const stop = new AbortController()
process.once('SIGINT', () => stop.abort())

const run = await train({
  data,
  out,
  preset: encoderWeights === undefined ? 'tiny' : 'mobilenetv2-transformer',
  ...(encoderWeights !== undefined && { encoderWeights }),
  signal: stop.signal,
  onProgress: ({ step, steps, loss }) => {
    if (step % 10 === 0) console.log(`step ${step} of ${steps}, loss ${loss.toFixed(3)}`)
  },
  onEvent: (event) => {
    if (event.kind === 'warning') console.warn(event.text)
    if (event.kind !== 'validation') return
    console.log(`validation loss ${event.loss.toFixed(3)}, BLEU-4 ${event.bleu4.toFixed(3)}`)
    const [sample] = event.samples
    if (sample) console.log(`  ${sample.image}: "${sample.caption}"`)
  },
})
console.log(`best model of step ${run.best.step} in ${run.model}`)
if (run.report !== undefined) console.log(`report: ${run.report}`)
