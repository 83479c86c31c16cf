/** METEOR's words, form by form. */
import test from 'ava'
import { normalizeTokens } from '../../../ts/evaluate/meteor/normalize.js'

const CASES: readonly (readonly [string, string])[] = [
  ['a dog on 2 legs', 'a dog on 2 legs'],
  ['', ''],
  ['a 10-year-old in a t-shirt', 'a 10 year old in a t shirt'],
  ["the dog 's ball", "the dog ' s ball"],
  ["it does n't", "it does n 't"],
  ["o'clock", "o 'clock"],
  ["the 1990's", "the 1990 's"],
  ['number # 25 & more', 'number # 25 & more'],
  ['black\\/white', 'black \\ / white'],
  ['the u.s. flag at 5 p.m.', 'the us flag at 5 pm'],
  ['on 11th st.', 'on 11th st .'],
  ['a st. bernard', 'a st. bernard'],
  ['one vs. 2', 'one vs. 2'],
  ['pp. 3', 'pp. 3'],
  ['1,000 dogs 3.5', '1,000 dogs 3.5'],
  ['a café in łódź', 'a café in łódź'],
  ['-lrb- left -rrb-', '-lrb- left -rrb-'],
]

for (const [tokens, words] of CASES) {
  test(`"${tokens}"`, (t) => {
    t.is(normalizeTokens(tokens.split(' ').filter(Boolean)).join(' '), words)
  })
}
