import test from 'ava'
import { markdownImages } from '../../ts/alt/markdown-images.js'

/** The text with an alt text wherever one is missing. */
function withAlts(text: string, alt = 'ALT'): string {
  return markdownImages(text)
    .images.filter(({ state }) => state === 'missing')
    .reverse()
    .reduce(
      (result, { start, end, altMarkup }) =>
        result.slice(0, start) + altMarkup(alt) + result.slice(end),
      text,
    )
}

const changed = {
  '![](a.png)': '![ALT](a.png)',
  '![ ](<a b.png> "title")': '![ALT](<a b.png> "title")',
  '[![](a.png)](http://x)': '[![ALT](a.png)](http://x)',
  '> * ![](a.png)': '> * ![ALT](a.png)',
  '![][one]\n\n[one]: a.png': '![ALT][one]\n\n[one]: a.png',
  'a <img src=a.png> b': 'a <img src=a.png alt="ALT"> b',
  '\ufeff# T\r\n\r\n![](a.png)\r\n': '\ufeff# T\r\n\r\n![ALT](a.png)\r\n',
  '<p align="center">\n  <img src="a.png">\n</p>':
    '<p align="center">\n  <img src="a.png" alt="ALT">\n</p>',
  '---\nt: x\n---\n![](a.png)': '---\nt: x\n---\n![ALT](a.png)',
  '| a |\n|---|\n| ![](a.png) |': '| a |\n|---|\n| ![ALT](a.png) |',
}

test('images without alt text get one, and nothing else changes', (t) => {
  for (const [before, after] of Object.entries(changed)) t.is(withAlts(before), after)
})

const same = [
  '![dog](a.png)',
  '![one]\n\n[one]: a.png',
  '![one][]\n\n[one]: a.png',
  '![][none]',
  '`![](a.png)`',
  '```\n![](a.png)\n<img src=a.png>\n```',
  '    ![](a.png)',
  '\\![](a.png)',
  '<!-- ![](a.png) <img src=a.png> -->',
  '---\ncover: ![](a.png)\n---\n',
  '![](a.png){alt="dog"}',
  '![](a.png){: role="presentation" }',
  '![]({{site.url}}/a.png)',
  '<div aria-hidden="true">\n\ntext\n\n<img src=a.png>\n\n</div>',
  '<img alt="" src=a.png>',
]

test('what has one, is code, decorative or a template is left alone', (t) => {
  for (const text of same) t.is(withAlts(text), text)
})

test('addresses and places', (t) => {
  const text =
    '![](a%20b.png)\n\ntext ![][One]\n\n<img src="c&amp;d.png">\n\n[one]: <e f.png>\n[one]: g.png\n'
  t.deepEqual(
    markdownImages(text).images.map(({ src, line, column }) => [src, line, column]),
    [
      ['a%20b.png', 1, 1],
      ['e f.png', 3, 6],
      ['c&d.png', 5, 1],
    ],
  )
})

test('what Markdown would read as markup is escaped', (t) => {
  const [found] = markdownImages('![](a.png)').images
  t.is(found?.altMarkup('a [b] *c* <d>'), 'a \\[b\\] \\*c\\* \\<d\\>')
})

test('an alt text does not end a code span or a comment that seems to begin before it', (t) => {
  for (const before of ['a ` b ![](a.png)', 'a ` b <img src="a.png">', 'a <!-- b ![](a.png)']) {
    const after = withAlts(before, 'x ` y --> z')
    t.deepEqual(
      markdownImages(after).images.map(({ state }) => state),
      ['present'],
      after,
    )
  }
})
