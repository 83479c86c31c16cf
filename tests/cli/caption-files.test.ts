/** `captioneer caption --format`: sidecars, one file for all, what is there already, and what is refused. */
import { chmod, mkdir, readdir, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import ava from 'ava'
import type { CaptionFlags } from '../../ts/cli/caption.js'
import { refuseFileFlags, refuseTogether } from '../../ts/cli/caption-destination.js'
import { ArgumentError } from '../../ts/errors.js'
import { temporaryFolder } from '../files/temporary-folder.js'
import { writePictures } from '../folders/pictures.js'
import { randomModelFolder } from '../models/random-folder.js'
import { cli } from './run-cli.js'

// One after another: the machine may be small.
const test = ava.serial

const model = join(tmpdir(), `captioneer-files-${process.pid}`)
test.before(() => randomModelFolder(model))
test.after.always(() => rm(model, { recursive: true, force: true }))

const names = ['p1.png', 'p2.jpg', 'p10.png', 'sub/p3.webp']

/** Runs it over a folder. */
const caption = (folder: string, ...flags: string[]) =>
  cli(['caption', folder, '--recursive', '--model', model, ...flags])
const texts = async (folder: string, extension: string) => {
  const all = await readdir(folder, { recursive: true })
  const found = all.filter((name) => name.endsWith(extension)).sort()
  return Object.fromEntries(
    await Promise.all(
      found.map(async (name) => [name, await readFile(join(folder, name), 'utf8')]),
    ),
  ) as Record<string, string>
}

test('txt: one beside each picture; a second run skips all of them without a model', async (t) => {
  const folder = await temporaryFolder(t)
  await writePictures(folder, names)
  await writeFile(join(folder, 'damaged.jpg'), 'no picture')
  await writeFile(join(folder, 'other.heic'), '')
  const dry = await caption(folder, '--format=txt', '--dry-run', '--json')
  const plan = JSON.parse(dry.stdout)
  t.true(plan.dryRun)
  t.is(plan.results.length, 5)
  t.deepEqual(await texts(folder, '.txt'), {})

  const { code, stdout, stderr } = await caption(folder, '--format=txt', '--json')
  t.is(code, 0, stderr)
  const { results, counts, others } = JSON.parse(stdout)
  t.deepEqual(counts, { written: 4, skipped: 0, failed: 1, unsure: 0 })
  t.deepEqual(others, { '.heic': 1 })
  t.regex(stderr, /left alone: 1 \.heic/)
  t.regex(stderr, /damaged\.jpg": it is not a/)
  t.deepEqual(
    results.map(({ image }: { image: string }) => image.slice(folder.length + 1)),
    ['damaged.jpg', 'p1.png', 'p2.jpg', 'p10.png', 'sub/p3.webp'],
  )
  const written = await texts(folder, '.txt')
  t.deepEqual(Object.keys(written), ['p1.txt', 'p10.txt', 'p2.txt', 'sub/p3.txt'])
  for (const { output, caption: text } of results)
    if (output) t.is(written[output.slice(folder.length + 1)], `${text}\n`)
  t.true(new Set(Object.values(written)).size > 1)

  await rm(join(folder, 'damaged.jpg'))
  await writeFile(join(folder, 'p1.txt'), 'mine\n')
  const words = ['caption', folder, '--recursive', '--model', 'there/is/none', '--format=txt']
  const again = await cli([...words, '--resume'])
  t.is(again.code, 0, again.stderr)
  t.regex(again.stdout, /^0 captions written, 4 there already\./)
  t.deepEqual(await texts(folder, '.txt'), { ...written, 'p1.txt': 'mine\n' })
})

test('append, overwrite, --before, --after, --extension and several captions', async (t) => {
  const folder = await temporaryFolder(t)
  await writePictures(folder, ['a.png', 'b.png'])
  await writeFile(join(folder, 'a.caption'), 'mine')
  const flags = ['--format=txt', '--extension=caption', '--before', 'style, ', '--after', '; ok']
  t.is((await caption(folder, ...flags, '--if-exists=append')).code, 0)
  const first = await texts(folder, '.caption')
  t.regex(first['a.caption'] ?? '', /^mine\nstyle, word.*; ok\n$/)
  t.regex(first['b.caption'] ?? '', /^style, word.*; ok\n$/)
  t.is((await caption(folder, ...flags, '--if-exists=append')).code, 0)
  t.deepEqual(await texts(folder, '.caption'), first, 'the same caption does not come twice')
  const two = ['--if-exists=overwrite', '--num-captions=2', '--beam=2']
  t.is((await caption(folder, ...flags, ...two)).code, 0)
  for (const text of Object.values(await texts(folder, '.caption')))
    t.regex(text, /^style, .*; ok\nstyle, .*; ok\n$/)
  t.deepEqual((await readdir(folder)).sort(), ['a.caption', 'a.png', 'b.caption', 'b.png'])
})

test('json, in a folder that mirrors the tree; what is no caption is not replaced', async (t) => {
  const folder = await temporaryFolder(t)
  await writePictures(folder, ['in/a.png', 'in/sub/b.png'])
  const [input, out] = [join(folder, 'in'), join(folder, 'out')]
  const flags = ['--format=json', '--out', out, '--if-exists=overwrite']
  t.is((await caption(input, ...flags)).code, 0)
  const found = await texts(out, '.json')
  t.deepEqual(Object.keys(found), ['a.json', 'sub/b.json'])
  const { image, caption: text, score } = JSON.parse(found['a.json'] ?? '')
  t.is(image, 'a.png')
  t.true(text.startsWith('word') && score < 0)
  await writeFile(join(out, 'a.json'), '{"title":"x"}')
  const { code, stdout, stderr } = await caption(input, ...flags)
  t.is(code, 0)
  t.regex(stdout, /^1 caption written.* 1 failed/)
  t.regex(stderr, /a\.json holds no caption, so it is not replaced/)
  t.is((await caption(input, ...flags, '--strict')).code, 1)
  t.is((await texts(out, '.json'))['a.json'], '{"title":"x"}')
})

test('pictures that share a name never share a caption', async (t) => {
  const folder = await temporaryFolder(t)
  await writePictures(folder, ['a.jpg', 'a.png', 'b.png'])
  const { code, stderr } = await caption(folder, '--format=txt')
  t.is(code, 0)
  t.regex(stderr, /2 pictures share their name .*a\.jpg\.txt/)
  t.deepEqual(Object.keys(await texts(folder, '.txt')), ['a.jpg.txt', 'a.png.txt', 'b.txt'])
  const alone = await cli(['caption', join(folder, 'a.png'), '--model', 'none', '--format=txt'])
  t.regex(alone.stdout, /1 there already/)
  await writePictures(folder, ['other/b.png'])
  const both = ['b.png', 'other/b.png'].map((name) => join(folder, name))
  const clash = await cli(['caption', ...both, '--model', model, '--format=txt', '--out', folder])
  t.is(clash.code, 1)
  t.regex(clash.stderr, /b\.png and of .*other\/b\.png would both be .*b\.txt/)
})

test('--min-confidence lists what it does not write', async (t) => {
  const folder = await temporaryFolder(t)
  await writePictures(folder, ['a.png'])
  const { code, stdout, stderr } = await caption(folder, '--format=txt', '--min-confidence=1')
  t.is(code, 0)
  t.regex(stdout, /^0 captions written, 1 unsure/)
  t.regex(stderr, /unsure:\n {2}.*a\.png: not written, confidence 0\.\d+: word/)
  t.deepEqual(await readdir(folder), ['a.png'])
})

test('a mark tells --resume which captions an overwriting run had done', async (t) => {
  const folder = await temporaryFolder(t)
  await writePictures(folder, ['a.png', 'b.png', 'c.png'])
  const flags = ['--format=txt', '--if-exists=overwrite']
  const mark = join(folder, '.captioneer-unfinished')
  for (const name of ['a.txt', 'b.txt', 'c.txt']) await writeFile(join(folder, name), 'old\n')
  const old = new Date(Date.now() - 60_000)
  await utimes(join(folder, 'b.txt'), old, old)
  await writeFile(mark, '')
  const between = new Date(Date.now() - 30_000)
  await utimes(mark, between, between)
  const plain = await caption(folder, '--format=txt')
  t.regex(plain.stderr, /was cut off here.*--resume/)
  const { stdout } = await caption(folder, ...flags, '--resume')
  t.regex(stdout, /^1 caption written.* 2 there already/)
  t.is((await texts(folder, '.txt'))['a.txt'], 'old\n')
  t.regex((await texts(folder, '.txt'))['b.txt'] ?? '', /^word/)
  t.false((await readdir(folder)).includes('.captioneer-unfinished'))
})

test('a folder that cannot be written to is told before any captioning', async (t) => {
  const folder = await temporaryFolder(t)
  await writePictures(folder, ['a.png'])
  await chmod(folder, 0o555)
  const words = ['caption', folder, '--model', model, '--format=txt']
  const { code, stderr } = await cli(words, process.getuid?.() === 0 ? { uid: 65534 } : {})
  await chmod(folder, 0o755)
  t.is(code, 1)
  t.regex(stderr, /cannot be written to: permission denied.*--out/)
  t.notRegex(stderr, /captioning 1/)
})

const usual = { model: 'm', device: 'cpu', repeatNgram: null } as const
const wrong: [flags: Partial<CaptionFlags>, message: RegExp][] = [
  [{ dryRun: true }, /--dry-run is for captions in files\. Give --format/],
  [{ before: 'x' }, /--before is for captions in files/],
  [{ format: 'txt', extension: '.PNG' }, /would name pictures/],
  [{ format: 'txt', extension: '../x' }, /expected --extension/],
  [{ format: 'csv', extension: '.txt' }, /named by --out/],
  [{ format: 'csv', out: '.' }, /is a folder. Give --out \.\/captions\.csv/],
  [{ format: 'txt', attention: 'heat' }, /--attention goes with printed/],
  [{ format: 'txt', watch: true, dryRun: true }, /give one of them/],
  [{ format: 'txt', watch: true }, /--watch takes folders, and a\.jpg is none/],
]

test('a link to a folder is told of, when captions are printed too', async (t) => {
  const folder = await temporaryFolder(t)
  await writePictures(folder, ['a.png'])
  await symlink('.', join(folder, 'loop'))
  const { code, stderr } = await caption(folder)
  t.is(code, 0)
  t.regex(stderr, /passed over .*loop: a link to a folder/)
})

test('flags that do not go together', (t) => {
  for (const [flags, message] of wrong)
    t.throws(
      () => {
        if (flags.format === undefined) refuseFileFlags({ ...usual, ...flags })
        else refuseTogether(['a.jpg'], { ...usual, ...flags }, flags.format)
      },
      { instanceOf: ArgumentError, message },
    )
})

test('leftovers of a killed process go, those of others stay', async (t) => {
  const folder = await temporaryFolder(t)
  await writePictures(folder, ['a.png'])
  await mkdir(join(folder, 'sub'))
  const gone = '.a.txt.999999999-3.tmp'
  const kept = ['.a.jpeg.999999999-3.tmp', 'notes.tmp']
  for (const name of [gone, ...kept]) await writeFile(join(folder, name), 'half')
  t.is((await caption(folder, '--format=txt')).code, 0)
  t.deepEqual((await readdir(folder)).sort(), [...kept, 'a.png', 'a.txt', 'sub'].sort())
})
