/**
 * Scores captions of any origin against human ones, as coco-caption does, and puts a constant caption beside them: what
 * a score is worth shows only there. `node dist/examples/score-captions.js`
 */
import { type CaptionItem, scoreCaptions } from 'captioneer'

const items: readonly CaptionItem[] = [
  {
    id: 'dog',
    candidate: 'a brown dog runs on the beach',
    references: ['a dog is running along the beach', 'a brown dog runs through the sand'],
  },
  {
    id: 'bikes',
    candidate: 'two men ride bicycles down a street',
    references: ['two people ride bikes on a street', 'men on bicycles in a city street'],
  },
  {
    id: 'girl',
    candidate: 'a girl in a red coat jumps into the water',
    references: ['a girl in a red jacket is jumping over a puddle', 'a child jumps over water'],
  },
]

const constant = items.map((item) => ({ ...item, candidate: 'a man in a red shirt' }))
for (const [name, captions] of Object.entries({ 'these captions': items, constant })) {
  const {
    bleu,
    rougeL,
    cider,
    meteorExactStemSynonym = 0,
    distinct,
  } = scoreCaptions(captions, {
    meteor: true,
  })
  console.log(
    `${name}: BLEU-1 ${percent(bleu[0])}, BLEU-4 ${percent(bleu[3])}, ROUGE-L ${percent(rougeL)}, ` +
      `METEOR* ${percent(meteorExactStemSynonym)}, CIDEr-D ${percent(cider)}, ` +
      `different captions ${percent(distinct)}`,
  )
}
console.log('* exact, stem and synonym matches, without the paraphrase table')

function percent(value = 0): string {
  return (100 * value).toFixed(1)
}
