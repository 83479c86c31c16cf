/** The cache of features: computed once, resumed where it stopped, another one for other weights or images. */
import { mkdtempSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import {
  cacheFolder,
  type FeatureItem,
  type FeatureProgress,
  featureKey,
  openFeatureCache,
} from '../../ts/data/feature-cache.js'

const folder = mkdtempSync(join(tmpdir(), 'captioneer-features-'))
process.env.CAPTIONEER_CACHE = folder
test.after.always(() => rm(folder, { recursive: true, force: true }))

const items: FeatureItem[] = Array.from({ length: 7 }, (_, i) => ({
  image: { id: `${i}`, path: join(folder, `${i}.jpg`), captions: ['a'], split: 'train' },
  mirrored: i > 4,
}))
const elements = 3

/** Three numbers that tell which item they belong to; item 2 cannot be decoded. */
async function compute(part: readonly FeatureItem[]) {
  const features = Uint16Array.from(part.flatMap(({ image }) => [+image.id, +image.id + 10, 5]))
  return { features, failed: part.map(({ image }) => image.id === '2') }
}

const options = { items, elements, compute, batchSize: 2, memoryBytes: 2 * elements * 3 }

test.serial(
  'features are computed once, shown as they come, and read back in any order',
  async (t) => {
    t.is(cacheFolder(), folder)
    const progress: FeatureProgress[] = []
    const cache = await openFeatureCache({
      ...options,
      key: 'a',
      onProgress: (p) => progress.push(p),
    })
    t.deepEqual([...(await cache.load([6, 0]))], [6, 16, 5, 0, 10, 5])
    t.deepEqual([...(await cache.load([6, 3, 4, 5]))].slice(0, 6), [6, 16, 5, 3, 13, 5])
    t.deepEqual([...cache.failed], [2])
    await cache.close()
    t.deepEqual(
      progress.map(({ done }) => done),
      [0, 2, 4, 6, 7],
    )
    t.is(progress[0]?.bytes, 7 * elements * 2, 'the size is told before the work starts')
    const again = await openFeatureCache({
      ...options,
      key: 'a',
      compute: () => Promise.reject(new Error('computed twice')),
    })
    t.deepEqual([...(await again.load([1]))], [1, 11, 5])
    t.deepEqual([...again.failed], [2])
    await again.close()
  },
)

test.serial('an interrupted cache goes on where it stopped', async (t) => {
  const seen: string[] = []
  const abort = new AbortController()
  const watched = async (part: readonly FeatureItem[]) => {
    seen.push(...part.map(({ image }) => image.id))
    if (seen.length === 4) abort.abort(new Error('stop'))
    return compute(part)
  }
  await t.throwsAsync(
    openFeatureCache({ ...options, key: 'b', compute: watched, signal: abort.signal }),
    { message: 'stop' },
  )
  const cache = await openFeatureCache({ ...options, key: 'b', compute: watched })
  t.deepEqual(seen, ['0', '1', '2', '3', '4', '5', '6'])
  t.deepEqual([...(await cache.load([0, 6]))], [0, 10, 5, 6, 16, 5])
  t.deepEqual([...cache.failed], [2])
  await cache.close()
})

test.serial('the key changes with weights, settings, mirroring and the files', async (t) => {
  const weights = [Float32Array.of(1, 2)]
  await writeFile(join(folder, '0.jpg'), 'x')
  const key = await featureKey(items, weights, { size: 8 })
  t.is(await featureKey(items, weights, { size: 8 }), key)
  const others = [
    await featureKey(items, [Float32Array.of(1, 3)], { size: 8 }),
    await featureKey(items, weights, { size: 9 }),
    await featureKey(items.slice(1), weights, { size: 8 }),
    await featureKey(
      items.map((item) => ({ ...item, mirrored: false })),
      weights,
      { size: 8 },
    ),
  ]
  await writeFile(join(folder, '0.jpg'), 'longer')
  others.push(await featureKey(items, weights, { size: 8 }))
  t.is(new Set([key, ...others]).size, others.length + 1)
})

test.serial('a folder that cannot be written says so', async (t) => {
  process.env.CAPTIONEER_CACHE = '/dev/null/nowhere'
  await t.throwsAsync(openFeatureCache({ ...options, key: 'c' }), {
    code: 'ERR_CHECKPOINT',
    message: /feature cache \/dev\/null\/nowhere/,
  })
  process.env.CAPTIONEER_CACHE = folder
})
