/** Attention of a decoder that looks at another grid than the encoder's map: a share for each of its own cells. */
import { join } from 'node:path'
import test from 'ava'
import { loadCaptioner } from '../../ts/captioner.js'
import { temporaryFolder } from '../files/temporary-folder.js'
import { randomModelFolder } from './random-folder.js'

test('a resampled memory: as many shares as cells of the new grid, of sum 1', async (t) => {
  const model = join(await temporaryFolder(t), 'model')
  await randomModelFolder(model, {}, { name: 'lstm', memorySide: 6, tied: false })
  using captioner = await loadCaptioner(model, { device: 'cpu' })
  const image = { data: new Uint8Array(32 * 32 * 3).map((_, i) => 7 * i), width: 32, height: 32 }
  const { attention, tokens } = await captioner.caption(image, { attention: true })
  t.is(attention?.side, 6)
  t.is(attention?.weights.length, 36 * tokens.length)
  for (const [word] of tokens.entries()) {
    const shares = attention?.weights.slice(36 * word, 36 * (word + 1)) ?? new Float32Array()
    t.true(Math.abs(shares.reduce((sum, share) => sum + share, 0) - 1) < 1e-5)
  }
})
