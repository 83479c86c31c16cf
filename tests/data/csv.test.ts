/** The table reader against RFC 4180 and against what people write instead. */
import test from 'ava'
import { parseCsv } from '../../ts/data/csv.js'

const fields = (text: string, separator = ',') =>
  [...parseCsv(text, separator)].map((row) => row.fields)

test('RFC 4180: quotes, doubled quotes, separators and line ends in fields, all line ends', (t) => {
  for (const end of ['\n', '\r\n', '\r']) {
    const text = ['a,b', '"1,2","say ""hi"""', `"two${end}lines",`, '', ',"" '].join(end)
    t.deepEqual(fields(text), [
      ['a', 'b'],
      ['1,2', 'say "hi"'],
      [`two${end}lines`, ''],
      ['', '"" '],
    ])
  }
  t.deepEqual(fields(''), [])
  t.deepEqual(fields('a\tb,c\n', '\t'), [['a', 'b,c']])
})

test('a stray quote stays in its row', (t) => {
  const rows = Array.from({ length: 40 }, (_, i) => `${i}.jpg,row ${i}`).join('\n')
  t.is(fields(`a.jpg,"never closed\n${rows}\nz.jpg,"open again`).length, 42)
  t.deepEqual(fields('a,"Hi" he said\nb,"x"'), [
    ['a', '"Hi" he said'],
    ['b', 'x'],
  ])
})

test('rows know their line', (t) => {
  const rows = [...parseCsv('a,b\n\n"x\ny",z\r\nlast,1', ',')]
  t.deepEqual(
    rows.map((row) => row.line),
    [1, 3, 5],
  )
})
