/** Seeded text for the tokenizer tests: captions of a small grammar, captions with every oddity we know, and random Unicode. */

/** A function that gives integers from 0 to n - 1; the same seed gives the same sequence. */
export function randomIntegers(seed: number): (n: number) => number {
  let state = seed >>> 0
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * n)
  }
}

const oddities = [
  ...[
    'dog',
    'T-shirt',
    "'s",
    "don't",
    "O'Brien",
    '10:30',
    '3.5',
    '3',
    'ends',
    'friends',
    "'ll",
    "'",
  ],
  ...['’', '‑', '-', '.', ',', ':', '(', ')', '[', '"', '“', '<', '|', '%', '$', '_', '—', '##ing'],
  ...[' ', '  ', '\n', '\t', '\u00a0', '\u3000', '\u200b', '\u2028', '\0'],
  ...['é', 'e\u0301', 'ß', 'İ', 'Ω', 'K', '²', '½', '٣', '日本', 'नमस्ते', '❤️', '👩‍🚀', '🐶'],
  ...['constructor', '__proto__', 'toString', '<|eos|', '<eos>', '[PAD]', '</s>'],
]

/** Up to eleven words, marks, spaces and foreign letters in any order. */
export function oddCaption(random: (n: number) => number): string {
  return Array.from({ length: random(12) }, () => oddities[random(oddities.length)]).join('')
}

/** Up to eleven code points out of all that Unicode has, surrogates aside. */
export function randomUnicode(random: (n: number) => number): string {
  return Array.from({ length: random(12) }, () => {
    const point = random(0x110000 - 0x800)
    return String.fromCodePoint(point < 0xd800 ? point : point + 0x800)
  }).join('')
}

const subjects = ['a dog', 'the brown dog', "a girl's dog", 'two men', 'A woman', 'the T-shirt']
const verbs = ['runs', 'is running', 'jumps', 'sits', "doesn't move", 'looks']
const places = ['on the grass .', 'in the snow', 'near a red-brick house .', 'at 10:30 , alone']

/** A sentence such as `two men sits in the snow`. */
export function plainCaption(random: (n: number) => number): string {
  return [subjects, verbs, places].map((list) => list[random(list.length)]).join(' ')
}

/** `count` texts from one of the makers above. */
export function texts(
  maker: (random: (n: number) => number) => string,
  count: number,
  seed: number,
): string[] {
  const random = randomIntegers(seed)
  return Array.from({ length: count }, () => maker(random))
}
