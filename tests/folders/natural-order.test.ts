import test from 'ava'
import { naturalOrder } from '../../ts/folders/natural-order.js'

const sorted = (names: readonly string[]) => [...names].sort(naturalOrder)

test('numbers by value, letters without case, parts of paths one by one', (t) => {
  const wanted = [
    'a/2.jpg',
    'a/10.jpg',
    'a b/1.jpg',
    'IMG_1.jpg',
    'img_2.jpg',
    'IMG_10.jpg',
    'x123456789012345678901.jpg',
    'x123456789012345678902.jpg',
  ]
  t.deepEqual(sorted([...wanted].reverse()), wanted)
})

test('names that differ only in case or in zeros have one order, too', (t) => {
  for (const names of [
    ['A.jpg', 'a.jpg'],
    ['a01.jpg', 'a1.jpg'],
    ['a.jpg', 'a.jpg.png'],
  ])
    t.deepEqual(sorted([...names].reverse()), sorted(names))
  t.is(naturalOrder('a.jpg', 'a.jpg'), 0)
})
