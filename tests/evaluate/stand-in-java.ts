/**
 * A program named `java` that answers as METEOR's and SPICE's jars do, for tests of what is asked and how answers are
 * read. It scores nothing: whoever has the jars should compare with them.
 */
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'

const program = `#!${process.execPath}
const { readFileSync, writeFileSync, existsSync } = require('node:fs')
const words = process.argv.slice(2)
if (words[0] === '-version') process.exit(0)
const jar = words[words.indexOf('-jar') + 1]
if (!existsSync(jar)) process.exit(9)
const rest = words.slice(words.indexOf('-jar') + 2)
writeFileSync(jar + '.words', JSON.stringify([words[0], ...rest]))
if (jar.endsWith('broken.jar')) { console.error('first line\\nno data folder'); process.exit(3) }
if (jar.endsWith('silent.jar')) { process.stdin.resume(); process.stdin.on('end', () => process.exit(0)) }
else if (rest[0] === '-') {
  const input = readFileSync(0, 'utf8')
  writeFileSync(jar + '.input', input)
  for (const line of input.replace(/\\n$/, '').split('\\n')) {
    const [command, ...captions] = line.split(' ||| ')
    if (command !== 'SCORE') { console.log('Error: specify SCORE or EVAL'); continue }
    const [reference, candidate] = [captions[0], captions.at(-1)].map((text) => text.split(' ').filter(Boolean))
    const same = candidate.filter((word) => reference.includes(word)).length
    const figures = [candidate.length, reference.length, 0, 0, same, same, 0, 0, ...Array(12).fill(0), 1, same, same]
    console.log(figures.map((figure) => figure.toFixed(1)).join(' '))
  }
} else {
  const out = rest[rest.indexOf('-out') + 1]
  const asked = JSON.parse(readFileSync(rest[0], 'utf8'))
  writeFileSync(jar + '.input', JSON.stringify(asked))
  const scored = asked.map(({ image_id, test, refs }) =>
    ({ image_id, scores: { All: { f: test === '' ? null : refs.includes(test) ? 1 : 0.25 } } }))
  writeFileSync(out, JSON.stringify(scored.reverse()))
}
`

/** Writes the program to a folder; returns a PATH on which it is found first. */
export async function standInJava(folder: string): Promise<string> {
  const bin = join(folder, 'bin')
  await mkdir(bin, { recursive: true })
  await writeFile(join(bin, 'java'), program)
  await chmod(join(bin, 'java'), 0o755)
  return [bin, process.env.PATH].join(delimiter)
}
