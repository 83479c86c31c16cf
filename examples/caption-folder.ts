/**
 * Captions all pictures of a folder, many at a time, and prints a line each:
 * `node dist/examples/caption-folder.js ./runs/mine ./photos`. A picture that cannot be read is told and the others go on.
 */
import { readdir } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { loadCaptioner } from 'captioneer'

const [model, folder] = process.argv.slice(2)
if (model === undefined || folder === undefined) {
  throw new Error('expected a model folder and a folder of pictures')
}

const names = (await readdir(folder)).sort()
const pictures = names
  .filter((name) => ['.jpg', '.jpeg', '.png', '.webp'].includes(extname(name).toLowerCase()))
  .map((name) => join(folder, name))

const captioner = await loadCaptioner(model)
try {
  for await (const result of captioner.captionAll(pictures, { batchSize: 32, beam: 3 })) {
    if (result.error) console.error(`${result.image}: ${result.error.message}`)
    else console.log(`${result.image}: ${result.text} (${result.score.toFixed(2)})`)
  }
} finally {
  captioner.close()
}
