/** METEOR and SPICE by jar: what is asked and how answers are read, against a stand-in; the jars are not at hand. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { checkJars, jarScores } from '../../ts/evaluate/jars.js'
import { meteorOfCounts } from '../../ts/evaluate/meteor/meteor.js'
import { temporaryFolder } from '../files/temporary-folder.js'
import { standInJava } from './stand-in-java.js'

const images = [
  {
    candidate: ['a', 'dog'],
    references: [
      ['a', 'dog'],
      ['two', 'dogs'],
    ],
  },
  { candidate: [], references: [['a', 'cat']] },
]

async function jar(t: ExecutionContext, name: string): Promise<string> {
  const folder = await temporaryFolder(t)
  const path = process.env.PATH
  process.env.PATH = await standInJava(folder)
  t.teardown(() => {
    process.env.PATH = path
  })
  const file = join(folder, name)
  await writeFile(file, '')
  return file
}

test.serial('METEOR: one SCORE line an image; its figures become scores', async (t) => {
  const meteorJar = await jar(t, 'meteor-1.5.jar')
  const { meteorCounts, corpus, perImage } = await jarScores(images, { meteorJar })
  t.is(
    await readFile(`${meteorJar}.input`, 'utf8'),
    'SCORE ||| a dog ||| two dogs ||| a dog\nSCORE ||| a cat ||| \n',
  )
  t.deepEqual(JSON.parse(await readFile(`${meteorJar}.words`, 'utf8')), [
    ...['-Xmx2G', '-', '-', '-stdio', '-l', 'en', '-norm'],
  ])
  t.is(meteorCounts?.[0]?.length, 23)
  t.deepEqual(perImage, [{ meteor: 1 }, { meteor: 0 }])
  // Both images together: two of two words and two of four.
  const sum = [2, 4, 0, 0, 2, 2, ...Array(14).fill(0), 1, 2, 2]
  t.deepEqual(corpus, { meteor: meteorOfCounts(sum) })
})

test.serial('SPICE: a file of captions; the F scores, in whatever order', async (t) => {
  const spiceJar = await jar(t, 'spice-1.0.jar')
  const { corpus, perImage } = await jarScores(images, { spiceJar })
  t.deepEqual(JSON.parse(await readFile(`${spiceJar}.input`, 'utf8')), [
    { image_id: 0, test: 'a dog', refs: ['a dog', 'two dogs'] },
    { image_id: 1, test: '', refs: ['a cat'] },
  ])
  t.deepEqual(perImage, [{ spice: 1 }, { spice: 0 }])
  t.deepEqual(corpus, { spice: 0.5 })
})

test.serial('no jar, a jar that fails, one that answers nothing', async (t) => {
  const refused = (options: object, code: string, message: RegExp) =>
    t.throwsAsync(jarScores(images, options), { code, message })
  await refused(
    { meteorJar: 'no/meteor.jar' },
    'ERR_ARGUMENT',
    /^METEOR: expected no\/meteor\.jar to be its jar, found nothing there/,
  )
  await refused({ spiceJar: '.' }, 'ERR_ARGUMENT', /^SPICE: .* found no file there/)
  const broken = await jar(t, 'broken.jar')
  await refused(
    { meteorJar: broken },
    'ERR_DATA',
    /broken\.jar ended with code 3: no data folder\./,
  )
  const silent = await jar(t, 'silent.jar')
  await refused({ meteorJar: silent }, 'ERR_DATA', /23 figures for caption 1 of 2, received ""/)
  await refused({ spiceJar: silent }, 'ERR_DATA', /one score for each of 2 captions/)
})

test.serial('no Java', async (t) => {
  const meteorJar = await jar(t, 'meteor-1.5.jar')
  process.env.PATH = join(meteorJar, '..')
  await t.throwsAsync(jarScores(images, { meteorJar }), {
    code: 'ERR_ARGUMENT',
    message: /METEOR: its jar needs Java, but there is no program "java" in PATH/,
  })
})

test.serial('what is missing is told before any work', async (t) => {
  const meteorJar = await jar(t, 'meteor-1.5.jar')
  await t.notThrowsAsync(checkJars({}))
  await t.throwsAsync(checkJars({ meteorJar, spiceJar: 'no.jar' }), { message: /^SPICE: expected/ })
  process.env.PATH = join(meteorJar, '..')
  await t.throwsAsync(checkJars({ meteorJar }), { message: /^METEOR: its jar needs Java/ })
})

test.serial('an aborted signal ends a jar at work', async (t) => {
  const meteorJar = await jar(t, 'silent.jar')
  const reason = new Error('enough')
  const controller = new AbortController()
  const scored = jarScores(images, { meteorJar, signal: controller.signal })
  controller.abort(reason)
  t.is(await t.throwsAsync(scored), reason)
})
