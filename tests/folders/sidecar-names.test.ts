import test from 'ava'
import { sidecarNames } from '../../ts/folders/sidecar-names.js'

const of = (...names: string[]) => Object.fromEntries(sidecarNames(names, '.txt'))

test('the name with another extension', (t) => {
  t.deepEqual(of('a.jpg', 'b.c.PNG', 'noextension'), {
    'a.jpg': 'a.txt',
    'b.c.PNG': 'b.c.txt',
    noextension: 'noextension.txt',
  })
})

test('pictures that would share one keep their whole names, in any order and case', (t) => {
  const both = { 'A.jpg': 'A.jpg.txt', 'a.png': 'a.png.txt', 'b.jpg': 'b.txt' }
  t.deepEqual(of('A.jpg', 'a.png', 'b.jpg'), both)
  t.deepEqual(of('b.jpg', 'a.png', 'A.jpg'), both)
})

test('a whole name is never the short name of a third', (t) => {
  const found = of('a.jpg', 'a.png', 'a.jpg.webp')
  t.is(new Set(Object.values(found)).size, 3)
  t.is(found['a.jpg.webp'], 'a.jpg.webp.txt')
})
