import test from 'ava'
import { DataError } from '../../ts/errors.js'
import { jsonSidecar, textSidecar } from '../../ts/folders/sidecar-text.js'

const dog = { text: 'a dog', score: -1 }
const cat = { text: 'a cat', score: -2 }

test('text: a caption a line; what is there stays and does not come twice', (t) => {
  t.is(textSidecar([dog]), 'a dog\n')
  t.is(textSidecar([dog, cat, dog]), 'a dog\na cat\n')
  t.is(textSidecar([dog], 'mine'), 'mine\na dog\n')
  t.is(textSidecar([dog], 'mine\r\n'), 'mine\r\na dog\r\n')
  t.is(textSidecar([dog], 'a dog'), 'a dog')
})

test('JSON: one caption, or several, the old ones first', (t) => {
  const options = { image: 'a.jpg', output: 'a.json', old: undefined, ifExists: 'append' } as const
  const one = jsonSidecar([dog], options)
  t.deepEqual(JSON.parse(one), { image: 'a.jpg', caption: 'a dog', score: -1 })
  const two = jsonSidecar([cat], { ...options, old: one })
  const expected = { image: 'a.jpg', caption: 'a dog', score: -1, captions: [dog, cat] }
  t.deepEqual(JSON.parse(two), expected)
  t.is(jsonSidecar([cat], { ...options, old: two }), two)
  const anew = jsonSidecar([cat], { ...options, old: two, ifExists: 'overwrite' })
  t.deepEqual(JSON.parse(anew), { image: 'a.jpg', caption: 'a cat', score: -2 })
})

test('JSON of something else is not replaced', (t) => {
  for (const old of ['{"title":"holiday"}', '[1]', 'text', ''])
    t.throws(
      () => jsonSidecar([dog], { image: 'a.jpg', output: 'x/a.json', old, ifExists: 'overwrite' }),
      { instanceOf: DataError, message: /^x\/a\.json holds no caption.*--extension/ },
    )
})
