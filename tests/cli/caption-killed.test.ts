/** `captioneer caption --format` killed at random moments: nothing is half written, and a further run completes it. */
import type { ChildProcess } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import ava from 'ava'
import { createRandom } from '../../ts/random.js'
import { temporaryFolder } from '../files/temporary-folder.js'
import { writePictures } from '../folders/pictures.js'
import { randomModelFolder } from '../models/random-folder.js'
import { cli } from './run-cli.js'

const test = ava.serial

const model = join(tmpdir(), `captioneer-killed-${process.pid}`)
test.before(() => randomModelFolder(model))
test.after.always(() => rm(model, { recursive: true, force: true }))

const PICTURES = 30
const names = Array.from({ length: PICTURES }, (_, i) => `p${i}.png`)
const random = createRandom(11)

/** Also one that a signal ended has ended, and no exit code. */
const runs = ({ exitCode, signalCode }: ChildProcess) => exitCode === null && signalCode === null

/** Kills the process once so many rows or sidecars are there, and a little later. */
function killedAt(count: () => number, target: number) {
  return async (child: ChildProcess) => {
    while (runs(child) && count() < target) await sleep(2)
    await sleep(random() * 6)
    child.kill('SIGKILL')
  }
}

test('sidecars, written anew', async (t) => {
  const folder = await temporaryFolder(t)
  await writePictures(folder, names)
  const words = ['caption', folder, '--model', model, '--batch-size=2', '--format=txt']
  const first = await cli(words)
  t.is(first.code, 0, first.stderr)
  const expected = new Map<string, string>()
  const sidecars = names.map((name) => name.replace('png', 'txt'))
  for (const name of sidecars) expected.set(name, await readFile(join(folder, name), 'utf8'))
  for (const name of sidecars) await writeFile(join(folder, name), 'old\n')
  const done = () =>
    sidecars.filter((name) => readFileSync(join(folder, name), 'utf8') !== 'old\n').length
  const anew = [...words, '--if-exists=overwrite']
  let kills = 0
  for (let round = 0; done() < PICTURES && round < 6; round++) {
    const before = done()
    const target = before + 1 + Math.floor(random() * 12)
    const flags = round === 0 ? [] : ['--resume']
    const { code, stdout } = await cli([...anew, ...flags], { onStart: killedAt(done, target) })
    if (code === null) kills++
    else t.regex(stdout, new RegExp(`, ${before} there already|^30 captions`))
    t.true(done() >= before)
    for (const name of sidecars) {
      const text = await readFile(join(folder, name), 'utf8')
      t.true(text === 'old\n' || text === expected.get(name), `${name}: ${text}`)
    }
  }
  t.true(kills >= 2, `${kills}`)
  const last = await cli([...anew, '--resume'])
  t.is(last.code, 0, last.stderr)
  for (const name of sidecars)
    t.is(await readFile(join(folder, name), 'utf8'), expected.get(name) ?? '')
  t.deepEqual(
    (await readdir(folder)).sort(),
    [...names, ...sidecars].sort(),
    'nothing is left over',
  )
})

for (const format of ['jsonl', 'html']) {
  test(`one file: ${format}`, async (t) => {
    const folder = await temporaryFolder(t)
    await writePictures(folder, names)
    const file = join(folder, `all.${format}`)
    const words = ['caption', folder, '--model', model, '--batch-size=2', '--format', format]
    const other = join(folder, `other.${format}`)
    t.is((await cli([...words, '--out', other])).code, 0)
    const growing = format === 'html' ? join(folder, '.all.html.unfinished-skip') : file
    const rows = () => {
      const there = readdirSync(folder).includes(growing.slice(folder.length + 1))
      return there ? readFileSync(growing, 'utf8').split('\n').length - 1 : 0
    }
    let kills = 0
    for (let round = 0; round < 3; round++) {
      const target = rows() + 1 + Math.floor(random() * 8)
      const { code } = await cli([...words, '--out', file], { onStart: killedAt(rows, target) })
      if (code === null) kills++
    }
    t.true(kills >= 2, `${kills}`)
    const last = await cli([...words, '--out', file])
    t.is(last.code, 0, last.stderr)
    t.is(await readFile(file, 'utf8'), await readFile(other, 'utf8'))
    t.deepEqual((await readdir(folder)).filter((name) => !name.endsWith('.png')).sort(), [
      `all.${format}`,
      `other.${format}`,
    ])
  })
}

test('Ctrl-C: what is done is there, exit code 130, --resume goes on', async (t) => {
  const folder = await temporaryFolder(t)
  await writePictures(folder, names)
  const words = ['caption', folder, '--model', model, '--batch-size=1', '--format=txt', '--json']
  const done = () => readdirSync(folder).filter((name) => name.endsWith('.txt')).length
  const { code, stdout, stderr } = await cli(words, {
    onStart: async (child) => {
      while (runs(child) && done() < 3) await sleep(2)
      child.kill('SIGINT')
    },
  })
  t.is(code, 130, stderr)
  t.is(JSON.parse(stdout).counts.written, done())
  t.true(done() < PICTURES)
  const again = await cli([...words, '--resume'])
  t.is(JSON.parse(again.stdout).counts.skipped + JSON.parse(again.stdout).counts.written, PICTURES)
})
