import test from 'ava'
import { altText } from '../../ts/alt/alt-text.js'

test('a capital letter, no full stop, no "image of", one line', (t) => {
  const texts = {
    'a dog runs .': 'A dog runs',
    'A dog , a cat.': 'A dog, a cat',
    'an image of a dog': 'A dog',
    'this is a picture of the sea': 'The sea',
    'A close-up photo of a flower.': 'A flower',
    'a view of the city': 'The city',
    'a picture hangs on a wall': 'A picture hangs on a wall',
    'éclair on  a\nplate': 'Éclair on a plate',
    '𐐨 letter': '𐐀 letter',
    '...': '',
    '': '',
  }
  for (const [caption, alt] of Object.entries(texts)) t.is(altText(caption, 125), alt)
})

test('cut at a word, and not behind one that asks for more', (t) => {
  const caption = 'a man in a red jacket is skiing down a snowy hill with a dog'
  t.is(altText(caption, 60), 'A man in a red jacket is skiing down a snowy hill with a dog')
  t.is(altText(caption, 59), 'A man in a red jacket is skiing down a snowy hill')
  t.is(altText(caption, 38), 'A man in a red jacket is skiing down')
  t.is(altText(caption, 26), 'A man in a red jacket')
  for (let longest = 20; longest < 60; longest++) {
    const alt = altText(caption, longest)
    t.true(alt.length <= longest)
    t.regex(caption.slice(alt.length), /^( |$)/)
  }
  t.is(altText('x'.repeat(200), 125).length, 125)
})
