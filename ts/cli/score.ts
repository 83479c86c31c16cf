/** `captioneer score`: scores of any captions. Reading the files is score-files.ts, the scores evaluate/score.ts. */
import type { Command } from 'commander'
import { table, thousands } from './format.js'
import { jsonFlags } from './options.js'
import { note, print, printJson } from './terminal.js'

interface ScoreFlags {
  readonly predictions: string
  readonly references: string
  readonly perImage?: true
  readonly meteorJar?: string
  readonly spiceJar?: string
  readonly json?: true
}

export function addScoreCommand(program: Command): void {
  program
    .command('score')
    .summary('score captions of any origin')
    .description(
      'Score captions of any origin against references, with BLEU-1..4, ROUGE-L and CIDEr-D as coco-caption ' +
        'computes them, and METEOR without its paraphrase table. The table shows them x100; --json holds 0-1 ' +
        '(CIDEr 0-10).',
    )
    .requiredOption('--predictions <file>', 'JSON: [{ image_id, caption }], one caption an image')
    .requiredOption(
      '--references <file>',
      'JSON: { images: [{ id }], annotations: [{ image_id, caption }] }',
    )
    .option('--per-image', 'the scores of each image too')
    .option(
      '--meteor-jar <file>',
      'meteor-1.5.jar: METEOR with its paraphrase table too (needs Java)',
    )
    .option('--spice-jar <file>', 'spice-1.0.jar: SPICE too (needs Java)')
    .option(...jsonFlags)
    .addHelpText('after', help)
    .action(run)
}

const help = `
Examples:
  captioneer score --predictions mine.json --references captions_val2014.json
  captioneer score --predictions mine.json --references captions_val2014.json --per-image --json > scores.json
  captioneer score --predictions mine.json --references captions_val2014.json --spice-jar ./SPICE-1.0/spice-1.0.jar
`

async function run(flags: ScoreFlags): Promise<void> {
  const { predictions, references, meteorJar, spiceJar } = flags
  const { readScoreFiles } = await import('./score-files.js')
  const { scoreTokens, tokenizeItem } = await import('../evaluate/score.js')
  const { items, unpredicted } = await readScoreFiles(predictions, references)
  const tokenized = items.map(tokenizeItem)
  const { perImage, ...own } = scoreTokens(tokenized, { meteor: true })
  const jars =
    meteorJar === undefined && spiceJar === undefined
      ? undefined
      : await (await import('../evaluate/jars.js')).jarScores(tokenized, { meteorJar, spiceJar })
  const scores = { ...own, ...jars?.corpus }
  const images = perImage.map((image, i) => ({ ...image, ...jars?.perImage[i] }))
  if (unpredicted > 0)
    note(`${thousands(unpredicted)} images of ${references} have no prediction: left out`)
  if (flags.json) {
    printJson(flags.perImage ? { ...scores, perImage: images } : scores)
    return
  }
  const columns: readonly (readonly [name: string, of: (scores: Shown) => number | undefined])[] = [
    ...[0, 1, 2, 3].map((n) => [`BLEU-${n + 1}`, (shown: Shown) => shown.bleu[n]] as const),
    ['ROUGE-L', ({ rougeL }) => rougeL],
    ['METEOR *', ({ meteorExactStemSynonym }) => meteorExactStemSynonym],
    ...(meteorJar === undefined ? [] : [['METEOR', ({ meteor }: Shown) => meteor] as const]),
    ['CIDEr', ({ cider }) => cider],
    ...(spiceJar === undefined ? [] : [['SPICE', ({ spice }: Shown) => spice] as const]),
  ]
  const figures = (shown: Shown) => columns.map(([, of]) => (100 * (of(shown) ?? 0)).toFixed(1))
  print(
    table([
      ['image', ...columns.map(([name]) => name)],
      ...(flags.perImage ? images.map((image) => [image.id, ...figures(image)]) : []),
      [`all ${thousands(scores.images)}`, ...figures(scores)],
    ]),
  )
  print('* without its paraphrase table; --meteor-jar gives it with it.')
}

interface Shown {
  readonly bleu: readonly number[]
  readonly rougeL: number
  readonly cider: number
  readonly meteorExactStemSynonym?: number
  readonly meteor?: number
  readonly spice?: number
}
