/**
 * Shows a caption while it grows, word by word: `node dist/examples/stream-caption.js ./runs/mine photo.jpg`.
 * Greedy search only adds words; with a beam another caption may take the place of the one shown.
 */
import { loadCaptioner } from 'captioneer'

const [model, picture] = process.argv.slice(2)
if (model === undefined || picture === undefined) {
  throw new Error('expected a model folder and a picture')
}

const captioner = await loadCaptioner(model)
// Aborting ends the work and frees its memory, as leaving the loop does.
const signal = AbortSignal.timeout(60_000)
try {
  let shown = ''
  for await (const { text, done } of captioner.captionStream(picture, { beam: 1, signal })) {
    process.stdout.write(text.slice(shown.length))
    if (done) process.stdout.write('\n')
    shown = text
  }
} finally {
  captioner.close()
}
