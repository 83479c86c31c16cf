/** Which images go together, and when. */
import test from 'ava'
import { chooseBatch, type Waiting } from '../../ts/serve/batcher.js'

const limits = { maxBatch: 4, maxDelayMs: 10 }
const waiting = (key: string, since = 0, more: Partial<Waiting> = {}): Waiting => ({
  key,
  alone: false,
  together: 8,
  since,
  ...more,
})
const nobody = () => false
const others = (key: string) => key === 'a'

test('nothing waits: nothing to do', (t) => {
  t.is(chooseBatch([], others, 0, limits), undefined)
})

test('one that comes alone goes at once', (t) => {
  const images = [waiting('a', 100)]
  t.deepEqual(chooseBatch(images, nobody, 100, limits), { batch: images })
})

test('it waits for others that are on their way, but not longer than maxDelayMs', (t) => {
  const images = [waiting('a', 100), waiting('a', 103)]
  t.deepEqual(chooseBatch(images, others, 105, limits), { at: 110 })
  t.deepEqual(chooseBatch(images, others, 110, limits), { batch: images })
  const unlike = [waiting('b', 100)]
  t.deepEqual(chooseBatch(unlike, others, 100, limits), { batch: unlike })
})

test('a full batch goes at once, the rest waits', (t) => {
  const images = Array.from({ length: 6 }, (_, i) => waiting('a', i))
  t.deepEqual(chooseBatch(images, others, 5, limits), { batch: images.slice(0, 4) })
  const few = images.map((image) => ({ ...image, together: 2 }))
  t.deepEqual(chooseBatch(few, others, 5, limits), { batch: few.slice(0, 2) })
})

test('the oldest decides; only its like, in order, go with it', (t) => {
  const images = [waiting('b'), waiting('a'), waiting('b'), waiting('b', 0, { alone: true })]
  t.deepEqual(chooseBatch(images, nobody, 0, limits), { batch: [images[0], images[2]] })
  const alone = [images[3] as Waiting, images[0] as Waiting]
  t.deepEqual(chooseBatch(alone, others, 0, limits), { batch: [alone[0]] })
})
