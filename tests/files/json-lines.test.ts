import { open, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { CheckpointError } from '../../ts/errors.js'
import { appendJsonLine, readJsonLines, truncateHistoryAfter } from '../../ts/files/json-lines.js'
import { temporaryFolder } from './temporary-folder.js'

test('rows come back in order, and the file is made by the first', async (t) => {
  const path = join(await temporaryFolder(t), 'history.jsonl')
  t.deepEqual(await readJsonLines(path), [])
  const rows = [{ step: 1, loss: 0.1 }, { step: 2, text: 'two\nlines' }, {}]
  for (const row of rows) await appendJsonLine(path, row)
  t.deepEqual(await readJsonLines(path), rows)
})

test('a resumed run has every step once, whatever part of the last line was written', async (t) => {
  const path = join(await temporaryFolder(t), 'history.jsonl')
  const whole = [1, 2, 3, 4, 5].map((step) => `{"step":${step}}\n`).join('')
  for (let end = 0; end <= whole.length; end++) {
    await writeFile(path, whole.slice(0, end))
    t.is((await readJsonLines(path)).length, Math.floor(end / 11))
    await truncateHistoryAfter(path, 3)
    const kept = Math.min(3, Math.floor(end / 11))
    t.is(await readFile(path, 'utf8'), whole.slice(0, 11 * kept))
    for (let step = kept + 1; step <= 5; step++) await appendJsonLine(path, { step })
    t.is(await readFile(path, 'utf8'), whole)
  }
})

test('rows without a step stay and lines that are no rows go', async (t) => {
  const path = join(await temporaryFolder(t), 'history.jsonl')
  await writeFile(path, '{"note":"start"}\n{"step":\n[1]\n{"step":7}\n')
  t.deepEqual(await readJsonLines(path), [{ note: 'start' }, { step: 7 }])
  await truncateHistoryAfter(path, 6)
  t.is(await readFile(path, 'utf8'), '{"note":"start"}\n')
})

test('a history that is not there needs no truncation; one that cannot be read is named', async (t) => {
  const folder = await temporaryFolder(t)
  await t.notThrowsAsync(truncateHistoryAfter(join(folder, 'none.jsonl'), 3))
  await t.throwsAsync(readJsonLines(folder), {
    instanceOf: CheckpointError,
    message: `reading ${folder}: the path is a folder, a file was expected. Check the path (EISDIR)`,
  })
})

test('a full disk gives a CheckpointError', async (t) => {
  const full = await open('/dev/full', 'a').catch(() => undefined)
  if (full === undefined) {
    t.log('skipped: this system has no /dev/full')
    return t.pass()
  }
  await full.close()
  await t.throwsAsync(appendJsonLine('/dev/full', { step: 1 }), {
    instanceOf: CheckpointError,
    message:
      'saving /dev/full: no space left on the disk. Free some space and start again (ENOSPC)',
  })
})
