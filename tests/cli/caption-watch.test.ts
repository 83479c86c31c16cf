/** `captioneer caption --watch`: pictures that are there, that come, and that come slowly. */
import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import { temporaryFolder } from '../files/temporary-folder.js'
import { writePictures } from '../folders/pictures.js'
import { randomModelFolder } from '../models/random-folder.js'
import { cli } from './run-cli.js'

const model = join(tmpdir(), `captioneer-watch-${process.pid}`)
test.before(() => randomModelFolder(model))
test.after.always(() => rm(model, { recursive: true, force: true }))

/** Waits for a condition, a minute at most: what it did not bring shows in the assertions. */
async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 2400 && !condition(); i++) await sleep(25)
}

test('captions what is there and what arrives, once it is whole; Ctrl-C ends it cleanly', async (t) => {
  const folder = await temporaryFolder(t)
  const inbox = join(folder, 'inbox')
  await writePictures(folder, ['inbox/a.png', 'b.png', 'c.png', 'd.png'])
  const there = (name: string) => existsSync(join(inbox, name))
  let apart = 0
  const words = ['caption', inbox, '--recursive', '--model', model, '--format=txt', '--watch']
  const { code, stdout, stderr } = await cli([...words, '--json'], {
    onStart: async (child) => {
      let told = ''
      child.stderr?.on('data', (chunk) => {
        told += chunk
      })
      await until(() => there('a.txt') && told.includes('watching'))
      await rename(join(folder, 'b.png'), join(inbox, 'b.png'))
      const bytes = await readFile(join(folder, 'c.png'))
      const slow = join(inbox, 'c.png')
      const begun = performance.now()
      await writeFile(slow, bytes.subarray(0, 100))
      await sleep(300)
      await writeFile(slow, bytes)
      apart = performance.now() - begun
      await writeFile(join(inbox, '.hidden.png'), bytes)
      await until(() => there('b.txt') && there('c.txt'))
      await mkdir(join(inbox, 'new'))
      await rename(join(folder, 'd.png'), join(inbox, 'new/d.png'))
      await until(() => there('new/d.txt'))
      child.kill('SIGINT')
    },
  })
  t.is(code, 0, stderr)
  t.regex(stderr, /watching .*Ctrl-C ends it/)
  t.regex(stderr, /no longer watching/)
  const { counts, results } = JSON.parse(stdout)
  // On a machine so busy that both halves came a second apart the first one may be taken for all.
  const failed = apart < 900 ? 0 : counts.failed
  t.deepEqual(counts, { written: 4, skipped: 0, failed, unsure: 0 }, stderr)
  for (const { output, caption, error } of results)
    if (error === undefined) t.is(await readFile(output, 'utf8'), `${caption}\n`)
  t.false(there('.hidden.txt'))
})
