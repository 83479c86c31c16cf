/** `captioneer score`: scores of any captions. Reading the files is score-files.ts, the scores evaluate/score.ts. */
import type { Command } from 'commander'
import { table, thousands } from './format.js'
import { jsonFlags } from './options.js'
import { note, print, printJson } from './terminal.js'

interface ScoreFlags {
  readonly predictions: string
  readonly references: string
  readonly perImage?: true
  readonly json?: true
}

export function addScoreCommand(program: Command): void {
  program
    .command('score')
    .summary('score captions of any origin')
    .description(
      'Score captions of any origin against references, with BLEU-1..4, ROUGE-L and CIDEr-D as coco-caption ' +
        'computes them. The table shows them x100; --json holds 0-1 (CIDEr 0-10).',
    )
    .requiredOption('--predictions <file>', 'JSON: [{ image_id, caption }], one caption an image')
    .requiredOption(
      '--references <file>',
      'JSON: { images: [{ id }], annotations: [{ image_id, caption }] }',
    )
    .option('--per-image', 'the scores of each image too')
    .option(...jsonFlags)
    .addHelpText('after', help)
    .action(run)
}

const help = `
Examples:
  captioneer score --predictions mine.json --references captions_val2014.json
  captioneer score --predictions mine.json --references captions_val2014.json --per-image --json > scores.json
`

async function run(flags: ScoreFlags): Promise<void> {
  const { readScoreFiles } = await import('./score-files.js')
  const { scoreCaptions } = await import('../evaluate/score.js')
  const { items, unpredicted } = await readScoreFiles(flags.predictions, flags.references)
  const { perImage, ...scores } = scoreCaptions(items)
  if (unpredicted > 0) {
    note(`${thousands(unpredicted)} images of ${flags.references} have no prediction: left out`)
  }
  if (flags.json) {
    printJson(flags.perImage ? { ...scores, perImage } : scores)
    return
  }
  const rows = flags.perImage ? perImage.map(({ id, ...image }) => [id, ...figures(image)]) : []
  print(
    table([
      ['image', 'BLEU-1', 'BLEU-2', 'BLEU-3', 'BLEU-4', 'ROUGE-L', 'CIDEr'],
      ...rows,
      [`all ${thousands(scores.images)}`, ...figures(scores)],
    ]),
  )
}

function figures(scores: {
  readonly bleu: readonly number[]
  readonly rougeL: number
  readonly cider: number
}): string[] {
  return [...scores.bleu, scores.rougeL, scores.cider].map((score) => (100 * score).toFixed(1))
}
