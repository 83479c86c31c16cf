/** `captioneer score` on small files made by hand. */
import { existsSync, readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { gunzipSync } from 'node:zlib'
import test, { type ExecutionContext } from 'ava'
import { standInJava } from '../evaluate/stand-in-java.js'
import { temporaryFolder } from '../files/temporary-folder.js'
import { type CliOptions, cli } from './run-cli.js'

const predictions = [
  { image_id: 1, caption: 'A dog runs on the grass.' },
  { image_id: 'b', caption: 'a cat' },
]
const references = {
  images: [{ id: 1 }, { id: 'b' }, { id: 3 }],
  annotations: [
    { id: 10, image_id: 1, caption: 'a dog runs on the grass' },
    { id: 11, image_id: 1, caption: 'the dog is running' },
    { id: 12, image_id: 'b', caption: 'two cats sleep on a sofa' },
    { id: 13, image_id: 3, caption: 'a boat' },
  ],
}

async function runScore(
  t: ExecutionContext,
  predicted: unknown,
  known: unknown,
  flags: readonly string[],
  options: CliOptions = {},
) {
  const folder = await temporaryFolder(t)
  const write = async (name: string, content: unknown) => {
    const path = join(folder, name)
    await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content))
    return path
  }
  const words = [
    '--predictions',
    await write('p.json', predicted),
    '--references',
    await write('r.json', known),
  ]
  return cli(['score', ...words, ...flags], options)
}

const scoreFiles = (t: ExecutionContext, predicted: unknown, known: unknown, ...flags: string[]) =>
  runScore(t, predicted, known, flags)
const scoreFilesIn = (t: ExecutionContext, options: CliOptions, ...flags: string[]) =>
  runScore(t, predictions, references, flags, options)

test('one document, with scores in 0-1 and the counts behind BLEU', async (t) => {
  const { code, stdout, stderr } = await scoreFiles(t, predictions, references, '--json')
  t.is(code, 0)
  t.regex(stderr, /^1 images of .*r\.json have no prediction: left out\n$/)
  const scores = JSON.parse(stdout)
  t.is(scores.images, 2)
  // 6 + 2 words, of which all 6 and "a" are in a reference; references nearest in length have 6 + 6.
  t.deepEqual(scores.counts, {
    testlen: 8,
    reflen: 12,
    guess: [8, 6, 4, 3],
    correct: [7, 5, 4, 3],
  })
  t.true(Math.abs(scores.bleu[0] - (7 / 8) * Math.exp(1 - 12 / 8)) < 1e-6)
  t.is(scores.perImage, undefined)
  t.true(scores.meteorExactStemSynonym > 0 && scores.meteorExactStemSynonym < 1)
  t.is(scores.meteor, undefined)
  t.is(scores.vocabularyUsed, 7)
  t.deepEqual(scores.lengths, [0, 0, 1, 0, 0, 0, 1])
})

test('--per-image lists every image, in the table and in JSON', async (t) => {
  const json = await scoreFiles(t, predictions, references, '--per-image', '--json')
  const ids = JSON.parse(json.stdout).perImage.map(({ id }: { id: string }) => id)
  t.deepEqual(ids, ['1', 'b'])
  const { code, stdout } = await scoreFiles(t, predictions, references, '--per-image')
  t.is(code, 0)
  const rows = stdout.trimEnd().split('\n')
  t.deepEqual(
    rows.slice(0, -1).map((row) => row.split(/ {2,}/)[0]),
    ['image', '1', 'b', 'all 2'],
  )
  t.regex(rows.pop() ?? '', /^\* without its paraphrase table/)
  t.regex(rows[1] ?? '', /^1 +100\.0 +100\.0 +100\.0 +100\.0 +100\.0/)
})

const damaged: [what: string, predicted: unknown, known: unknown, message: RegExp][] = [
  ['no JSON', '[{', references, /reading .*p\.json: not valid JSON/],
  ['no list', {}, references, /expected .*p\.json to hold \[\{ "image_id"/],
  ['an entry without a caption', [{ image_id: 1 }], references, /p\.json: caption 1 is .*image_id/],
  ['an image twice', [predictions[0], predictions[0]], references, /"1" comes twice/],
  [
    'an unknown image',
    [{ image_id: 9, caption: 'a' }],
    references,
    /"9", which .*r\.json does not/,
  ],
  ['no predictions', [], references, /p\.json holds no captions/],
  ['references of another form', predictions, [], /expected .*r\.json to hold \{ "images"/],
  [
    'an image without references',
    [predictions[0]],
    { images: [{ id: 1 }], annotations: [] },
    /no reference captions/,
  ],
]

for (const [what, predicted, known, message] of damaged) {
  test(what, async (t) => {
    const { code, stdout, stderr } = await scoreFiles(t, predicted, known)
    t.is(code, 1)
    t.is(stdout, '')
    t.regex(stderr, /^error: .+\n$/)
    t.regex(stderr, message)
  })
}

test('METEOR and SPICE by jars, in the table and in JSON', async (t) => {
  const folder = await temporaryFolder(t)
  const env = { PATH: await standInJava(folder) }
  const jars = [
    '--meteor-jar',
    join(folder, 'meteor-1.5.jar'),
    '--spice-jar',
    join(folder, 's.jar'),
  ]
  for (const jar of [jars[1], jars[3]]) await writeFile(jar ?? '', '')
  const json = await scoreFilesIn(t, { env }, ...jars, '--per-image', '--json')
  const scores = JSON.parse(json.stdout)
  t.is(scores.spice, (1 + 0.25) / 2)
  t.true(scores.meteor > 0 && scores.meteor < 1)
  t.deepEqual(
    scores.perImage.map(({ spice }: { spice: number }) => spice),
    [1, 0.25],
  )
  t.is(scores.meteorCounts, undefined)
  const shown = await scoreFilesIn(t, { env }, ...jars)
  t.regex(shown.stdout, /ROUGE-L +METEOR \* +METEOR +CIDEr +SPICE\n/)
  t.regex(shown.stdout, /^all 2 .* 62\.5$/m)
  const absent = await scoreFilesIn(t, {}, '--meteor-jar', join(folder, 'nothing.jar'))
  t.is(absent.code, 2)
  t.is(absent.stdout, '')
  t.regex(absent.stderr, /^error: METEOR: expected .*nothing\.jar to be its jar, found nothing/)
})

const shared = resolve('..', 'shared', 'data', 'metrics', 'coco_fakecap_overlap.json.gz')
test("coco-caption's own example from files to scores of each image", async (t) => {
  if (!existsSync(shared)) {
    t.log(`skipped: no ${shared}`)
    t.pass()
    return
  }
  const { images, scores } = JSON.parse(gunzipSync(readFileSync(shared)).toString())
  type Image = { id: number; candidate: string; references: string[]; scores: { CIDEr: number } }
  const predicted = images.map(({ id, candidate }: Image) => ({ image_id: id, caption: candidate }))
  const known = {
    images: images.map(({ id }: Image) => ({ id })),
    annotations: images.flatMap(({ id, references }: Image) =>
      references.map((caption) => ({ image_id: id, caption })),
    ),
  }
  const { code, stdout } = await scoreFiles(t, predicted, known, '--per-image', '--json')
  t.is(code, 0)
  const ours = JSON.parse(stdout)
  const near = (a: number, b: number) => t.true(Math.abs(a - b) < 1e-9, `${a} ${b}`)
  near(ours.cider, scores.CIDEr)
  near(ours.meteorExactStemSynonym, scores.METEOR_exact_stem_synonym)
  for (const [i, image] of images.entries()) near(ours.perImage[i].cider, image.scores.CIDEr)
})

test('a missing file', async (t) => {
  const { code, stderr } = await cli(['score', '--predictions', 'no.json', '--references', 'r'])
  t.is(code, 1)
  t.regex(stderr, /^error: score: reading no\.json: no such file/)
})
