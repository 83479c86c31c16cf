/** Scores on a report's page: the figures in large, whether the image is used, and every score beside its floors. */
import type { Interval } from '../evaluate/bootstrap.js'
import type { ReportedEvaluation } from './evaluation-file.js'
import { factTable, type Html, html } from './page.js'

/** Nats per token by which the text-only model must be worse, and the wrong image not better, for the image to be used. */
const LEAST_GAIN = 0.15
const SLACK = 0.02

const hundred = (value: number) => (100 * value).toFixed(1)
const scoreText = (value: number | undefined) => (value === undefined ? '–' : hundred(value))
const nats = (value: number) => value.toFixed(3)
const between = ({ low, high }: Interval, text: (value: number) => string) =>
  `${text(low)} to ${text(high)}`

/** The figures that count, in large. */
export function tiles(result: ReportedEvaluation): Html {
  const { exactMatch, intervals, bleu, cider, loss, images } = result
  return html`<div class="tiles">
${
  exactMatch !== undefined &&
  tile('captions exactly right', `${hundred(exactMatch)} %`, intervals.exactMatch, hundred)
}
${tile('BLEU-4', hundred(bleu[3] ?? 0), intervals.bleu4, hundred)}
${tile('CIDEr-D', hundred(cider), intervals.cider, hundred)}
${tile('loss, nats per token', nats(loss), intervals.loss, nats)}
${tile('images evaluated', String(images))}
</div>`
}

function tile(
  name: string,
  value: string,
  interval?: Interval,
  text: (value: number) => string = String,
): Html {
  return html`<div class="tile"><b>${value}</b><span>${name}</span>${
    interval && html`<span>95 %: ${between(interval, text)}</span>`
  }</div>`
}

/** Of a validation while training, 0-1, CIDEr-D 0-10; without those of captions where it wrote none. */
export interface ReportedValidation {
  readonly step: number
  readonly loss: number
  readonly bleu4?: number | undefined
  readonly cider?: number | undefined
}

/** What is known of a model that no evaluation has judged. */
export function validationTiles({ step, loss, bleu4, cider }: ReportedValidation): Html {
  return html`<div class="tiles">
${bleu4 !== undefined && tile('BLEU-4', hundred(bleu4))}
${cider !== undefined && tile('CIDEr-D', hundred(cider))}
${tile('loss, nats per token', nats(loss))}
${tile('step of this validation', String(step))}
</div>`
}

/** The loss with the right image, with a wrong one and without any, and what follows. */
export function imageUse(result: ReportedEvaluation): Html {
  const { loss, shuffledLoss, textOnlyLoss, intervals } = result
  if (shuffledLoss === undefined && textOnlyLoss === undefined) return html``
  const bars: [name: string, loss: number | undefined][] = [
    ['with its own image', loss],
    ['without an image', textOnlyLoss],
    ["with another picture's image", shuffledLoss],
  ]
  const known = bars.flatMap(([name, value]) => (value === undefined ? [] : [{ name, value }]))
  const gains = [
    { interval: intervals.textOnlyMinusLoss, over: 'none' },
    { interval: intervals.shuffledMinusLoss, over: 'a wrong one' },
  ].flatMap(({ interval, over }) =>
    interval ? [`${between(interval, nats)} nats over ${over}`] : [],
  )
  const longest = Math.max(...known.map(({ value }) => value))
  return html`<section><h2>Does it look at the image?</h2>
<p>${verdict(loss, shuffledLoss, textOnlyLoss)}</p>
<div class="bars">${known.map(
    ({ name, value }, i) => html`<span>${name}</span>
<span class="bar${i === 0 && ' own'}"><i style="width: ${((70 * value) / longest).toFixed(1)}%"></i>${nats(value)}</span>`,
  )}</div>
<p class="soft">Loss of the reference captions, nats per token: less is better. ${
    textOnlyLoss !== undefined &&
    'Without an image: a model of the same shape, trained on the captions alone. '
  }${
    gains.length > 0 && `Its image is worth ${gains.join(' and ')} (95 % intervals over images).`
  }</p></section>`
}

function verdict(loss: number, shuffled?: number, textOnly?: number): string {
  if (textOnly !== undefined && loss > textOnly - LEAST_GAIN)
    return `Hardly: the loss with the image is not ${LEAST_GAIN} nats below that of a model without one.`
  if (shuffled !== undefined && shuffled < (textOnly ?? loss + LEAST_GAIN) - SLACK)
    return 'Partly: it does well even with the image of another picture, so much of its gain comes from what all images share.'
  return 'Yes: it predicts the captions of a picture better with the picture, and a wrong one does not help it.'
}

function decodingText(decoding: ReportedEvaluation['decoding']): string {
  return Object.entries(decoding)
    .filter(([, value]) => ['number', 'string', 'boolean'].includes(typeof value))
    .map(
      ([name, value]) =>
        `${name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)} ${value}`,
    )
    .join(', ')
}

/** Each score with its interval and the scores of captions that saw no image. */
export function scoreTable(result: ReportedEvaluation): Html {
  const { floors, intervals, bleu, decoding } = result
  const rows: [
    string,
    (scores: typeof result | typeof floors.random) => number | undefined,
    Interval | undefined,
  ][] = [
    ...bleu.map((_, n): (typeof rows)[number] => [
      `BLEU-${n + 1}`,
      (scores) => scores.bleu[n] ?? 0,
      n === 3 ? intervals.bleu4 : undefined,
    ]),
    ['ROUGE-L', (scores) => scores.rougeL, intervals.rougeL],
    ['CIDEr-D', (scores) => scores.cider, intervals.cider],
    [
      'METEOR, exact + stem + synonym',
      (scores) => scores.meteorExactStemSynonym,
      intervals.meteorExactStemSynonym,
    ],
    ['METEOR, jar', (scores) => ('meteor' in scores ? scores.meteor : undefined), intervals.meteor],
    ['SPICE, jar', (scores) => ('spice' in scores ? scores.spice : undefined), intervals.spice],
  ]
  const known = rows.filter(([, of]) => of(result) !== undefined)
  return html`<section><h2>Scores</h2>
<div class="scroll"><table class="scores">
<thead><tr><th></th><th>this model</th><th>95 % interval</th><th>one caption<br>for all</th><th>random<br>captions</th>${
    floors.human && html`<th>reference<br>captions</th>`
  }</tr></thead>
<tbody>${known.map(
    ([name, of, interval]) => html`<tr><th scope="row">${name}</th>
<td class="own">${scoreText(of(result))}</td><td>${interval && between(interval, hundred)}</td>
<td>${scoreText(of(floors.constant))}</td><td>${scoreText(of(floors.random))}</td>${
      floors.human && html`<td>${scoreText(of(floors.human))}</td>`
    }</tr>`,
  )}</tbody></table></div>
<p class="soft">x 100, computed as coco-caption does, for captions written freely (${decodingText(decoding)}). One caption for all images: “${floors.constant.caption}”.
Random captions are drawn from those of the training images. Reference captions: the first of each image against its others.</p>
${factTable([
  ['perplexity', result.perplexity.toFixed(2)],
  [
    'next word right',
    `${hundred(result.tokenAccuracy)} %, among the first five ${hundred(result.tokenAccuracy5)} %`,
  ],
  [
    'variety',
    `${hundred(result.distinct)} % of the captions, ${hundred(result.distinct1)} % of the words and ` +
      `${hundred(result.distinct2)} % of the word pairs are different ones`,
  ],
  ...(result.vocabularyUsed === undefined
    ? []
    : [['words used', result.vocabularyUsed.toLocaleString('en-US')] as const]),
  ...(result.repeatedCaptions === undefined
    ? []
    : [['captions that say three words twice', `${hundred(result.repeatedCaptions)} %`] as const]),
  ...(result.novel === undefined
    ? []
    : [['captions that no training image has', `${hundred(result.novel)} %`] as const]),
  ['words per caption', result.meanLength.toFixed(1)],
  ['captions per second', result.captionsPerSecond.toPrecision(3)],
])}</section>`
}
