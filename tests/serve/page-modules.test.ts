/** The page's modules that need no browser, and whether its colours can be read. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { packageRoot } from '../../ts/package-root.js'
import { altAttribute } from '../../ts/serve/page/alt-attribute.js'
import { eventReader, type ServerEvent } from '../../ts/serve/page/event-reader.js'
import { createLanes } from '../../ts/serve/page/lanes.js'
import { fieldsOf } from '../../ts/serve/page/options.js'
import { problemOf } from '../../ts/serve/page/problem.js'
import { createReveal } from '../../ts/serve/page/reveal.js'
import { seenSquare } from '../../ts/serve/page/seen-square.js'
import { smoothMap } from '../../ts/serve/page/smooth-map.js'
import { captionWords } from '../../ts/serve/page/words.js'
import { pageFiles } from '../../ts/serve/page-files.js'

test('events are the same wherever the text is cut', (t) => {
  const text =
    ': comment\r\nevent: token\r\ndata: {"text":"a"}\r\n\r\n' +
    'data:one\ndata: two\n\nevent: empty\n\nevent: caption\rdata: é 犬\r\rdata: unfinished'
  const expected: ServerEvent[] = [
    { event: 'token', data: '{"text":"a"}' },
    { event: 'message', data: 'one\ntwo' },
    { event: 'caption', data: 'é 犬' },
  ]
  for (let size = 1; size <= text.length; size++) {
    const events: ServerEvent[] = []
    const read = eventReader((event) => events.push(event))
    for (let from = 0; from < text.length; from += size) read(text.slice(from, from + size))
    t.deepEqual(events, expected, `pieces of ${size}`)
  }
})

test('tokens that are parts of words add up to words', (t) => {
  const attention = {
    width: 2,
    height: 1,
    words: [
      { word: 'a', weights: [1, 0] },
      { word: ' snow', weights: [0, 1] },
      { word: 'board', weights: [1, 0] },
      { word: 'er', weights: [0.5, 0.5] },
      { word: '', weights: [9, 9] },
      { word: '.', weights: [0, 0.25] },
    ],
  }
  t.deepEqual(captionWords('a snowboarder .', attention), [
    { text: 'a', weights: [1, 0] },
    { text: 'snowboarder', weights: [0.5, 0.5] },
    { text: '.', weights: [0, 0.25] },
  ])
  t.deepEqual(captionWords('a a', { ...attention, words: attention.words.slice(0, 1) }), [
    { text: 'a', weights: [1, 0] },
    { text: 'a', weights: [] },
  ])
  t.deepEqual(captionWords(''), [])
})

test('a smooth map is largest where the map is, even where it is even, and nothing for nothing', (t) => {
  const map = Array.from({ length: 49 }, (_, i) => (i === 2 * 7 + 5 ? 1 : 0))
  const size = 70
  const smooth = smoothMap(map, 7, 7, size)
  const peak = smooth.indexOf(1)
  t.deepEqual([Math.floor(peak / size / 10), Math.floor((peak % size) / 10)], [2, 5])
  t.is(smooth[60 * size + 5], 0)
  for (const value of smoothMap(Array(6).fill(0.2), 3, 2, 8)) t.true(Math.abs(value - 1) < 1e-6)
  t.true(smoothMap([0, 0, 0, 0], 2, 2, 8).every((value) => value === 0))
  // A map of more rows than columns lies over the whole square too.
  const upper = smoothMap([1, 1, 0, 0, 0, 0], 2, 3, 30)
  t.true((upper[0] ?? 0) > 0.9 && (upper[29 * 30] ?? 1) < 0.05)
})

test('the square that a model sees', (t) => {
  t.deepEqual(seenSquare(300, 200, 'squash'), { x: 0, y: 0, width: 300, height: 200 })
  t.deepEqual(seenSquare(300, 200, 'crop'), { x: 50, y: 0, width: 200, height: 200 })
  t.deepEqual(seenSquare(200, 500, 'crop'), { x: 0, y: 150, width: 200, height: 200 })
})

test('an alt attribute holds any caption', (t) => {
  t.is(altAttribute('a dog'), 'alt="a dog"')
  t.is(
    altAttribute(' "x" onerror="y" <b>\n& done '),
    'alt="&quot;x&quot; onerror=&quot;y&quot; &lt;b&gt; &amp; done"',
  )
})

test('a text is revealed word by word, and a better one takes its place', async (t) => {
  const shown: string[] = []
  const reveal = createReveal((words) => shown.push(words.join(' ')), false)
  reveal.write('a')
  reveal.write('a dog runs')
  await reveal.finish('a cat runs')
  t.deepEqual(shown.slice(0, 1), ['a'])
  t.is(shown.at(-1), 'a cat runs')
  for (const [i, text] of shown.entries()) {
    const [before = '', words] = [shown[i - 1], text.split(' ')]
    t.true(words.length <= before.split(' ').filter(Boolean).length + 1, `${before} -> ${text}`)
  }
  reveal.write('never shown whole')
  reveal.stop()
  shown.length = 0
  await reveal.finish('never again')
  t.deepEqual(shown, ['never', 'never again'])
  const still: string[] = []
  const at = createReveal((words) => still.push(words.join(' ')), true)
  await at.finish('all of it at once')
  t.deepEqual(still, ['all of it at once'])
  await at.finish('all of it at once')
})

test('lanes run so many at a time, in order; who leaves while waiting frees nothing', async (t) => {
  const lanes = createLanes(2)
  const { signal } = new AbortController()
  const left = new AbortController()
  const began: number[] = []
  const ends: (() => void)[] = []
  const work = (i: number) => () => {
    began.push(i)
    return new Promise<number>((resolve) => ends.push(() => resolve(i)))
  }
  const runs = [0, 1, 2, 3].map((i) => lanes(i === 2 ? left.signal : signal, work(i)))
  await new Promise(setImmediate)
  t.deepEqual(began, [0, 1])
  left.abort(new Error('left'))
  await t.throwsAsync(runs[2] as Promise<number>, { message: 'left' })
  ends[0]?.()
  await runs[0]
  await new Promise(setImmediate)
  t.deepEqual(began, [0, 1, 3])
  for (const end of ends) end()
  t.deepEqual(await Promise.all([runs[0], runs[1], runs[3]]), [0, 1, 3])
  await t.throwsAsync(
    lanes(signal, async () => {
      throw new Error('failed')
    }),
    { message: 'failed' },
  )
  t.is(await lanes(signal, async () => 'next'), 'next')
})

test('options become fields: a search, or samples', (t) => {
  const choice = { beam: 2, count: 3, temperature: 0.7, seed: '5', prefix: ' a man ', model: '' }
  t.deepEqual(Object.fromEntries(fieldsOf({ way: 'search', ...choice })), {
    attention: 'true',
    num_captions: '3',
    beam: '3',
    prefix: 'a man',
  })
  t.deepEqual(
    Object.fromEntries(fieldsOf({ way: 'sample', ...choice, model: 'art', prefix: '' })),
    {
      attention: 'true',
      num_captions: '3',
      temperature: '0.7',
      seed: '5',
      model: 'art',
    },
  )
  const seeds = [1, 2].map(() => fieldsOf({ way: 'sample', ...choice, seed: '' }).get('seed'))
  t.not(seeds[0], seeds[1])
})

test('problems in plain words', (t) => {
  t.is(problemOf({ status: 429, retryAfter: '7' }).retryAfter, 7)
  t.is(problemOf({ status: 429, retryAfter: 'soon' }).retryAfter, 5)
  t.is(problemOf({ status: 429, retryAfter: '0' }).retryAfter, 1)
  t.is(problemOf({ status: 200, code: 'ERR_QUEUE_FULL' }).retryAfter, 5)
  t.true(problemOf({ status: 401 }).needsToken)
  t.regex(problemOf({ status: 200, code: 'ERR_TIMEOUT' }).title, /too long/)
  t.regex(problemOf({ status: 0 }).title, /does not answer/)
  t.regex(problemOf({ status: 500, message: 'see the log' }).title, /went wrong/)
  t.is(problemOf({ status: 500, message: 'see the log' }).detail, 'see the log')
})

test('what the page names is served, without inline code or styles', async (t) => {
  const files = await pageFiles()
  const html = Buffer.from(files.get('/')?.body ?? []).toString()
  const named = [...html.matchAll(/(?:src|href)="(page\/[^"]+)"/g)].map(([, path]) => `/${path}`)
  t.true(named.length >= 3)
  for (const [path, { body }] of files) {
    if (!path.endsWith('.js')) continue
    const imports = [
      ...Buffer.from(body)
        .toString()
        .matchAll(/from '\.\/([^']+)'/g),
    ]
    named.push(...imports.map(([, name]) => `/page/${name}`))
  }
  for (const path of named) t.true(files.has(path), path)
  t.notRegex(html, /<script(?![^>]*src)|<style|\son\w+=|\sstyle=|https?:/)
})

/** Text and what it stands on, by the names of the style sheet; 4.5 is WCAG 2.2's AA for text, 3 for edges of controls. */
const pairs = [
  ['ink', 'page', 4.5],
  ['ink', 'surface', 4.5],
  ['soft', 'page', 4.5],
  ['soft', 'surface', 4.5],
  ['soft', 'sunk', 4.5],
  ['bad', 'surface', 4.5],
  ['on-accent', 'accent', 4.5],
  ['on-accent', 'accent-strong', 4.5],
  ['accent-strong', 'tint', 4.5],
  ['ink', 'tint', 4.5],
  ['accent', 'surface', 3],
  ['accent', 'page', 3],
  ['edge', 'surface', 3],
  ['edge', 'page', 3],
] as const

test('colours can be told apart, light and dark', async (t) => {
  const css = await readFile(join(packageRoot, 'ts/serve/page/assets/page.css'), 'utf8')
  const schemes = [...css.matchAll(/:root \{([^}]*)\}/g)].map(([, rules = '']) =>
    Object.fromEntries([...rules.matchAll(/--([\w-]+): (#\w{6})/g)].map(([, k, v]) => [k, v])),
  )
  t.is(schemes.length, 2)
  for (const scheme of schemes)
    for (const [text, ground, least] of pairs) {
      const found = contrast(scheme[text] ?? '', scheme[ground] ?? '')
      t.true(found >= least, `${text} on ${ground}: ${found.toFixed(2)}`)
    }
})

/** WCAG 2.2, "contrast ratio". */
function contrast(a: string, b: string): number {
  const [light = 0, dark = 0] = [luminance(a), luminance(b)].sort((x, y) => y - x)
  return (light + 0.05) / (dark + 0.05)
}

function luminance(colour: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
    const share = Number.parseInt(colour.slice(at, at + 2), 16) / 255
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}
