/** The other captions that the model found, with their scores; the one that is chosen stands beside the picture. */
import { make } from './element.js'
import type { ScoredCaption } from './reply.js'

let groups = 0

/** @param onChoose called with the caption that was chosen */
export function choicesOf(
  captions: readonly ScoredCaption[],
  onChoose: (caption: ScoredCaption) => void,
): HTMLFieldSetElement {
  const group = `choice-${++groups}`
  return make(
    'fieldset',
    { className: 'choices' },
    make(
      'legend',
      {},
      make('span', { text: 'Alternatives' }),
      make('span', { className: 'score', text: 'score', attributes: { title: SCORE } }),
    ),
    ...captions.map((caption, i) => {
      const input = make('input', { attributes: { type: 'radio', name: group } })
      input.checked = i === 0
      input.addEventListener('change', () => onChoose(caption))
      return make(
        'label',
        { className: 'choice' },
        input,
        make('span', { className: 'choice-text', text: caption.caption || 'no words' }),
        make('span', { className: 'score', text: scoreText(caption.score) }),
      )
    }),
  )
}

const SCORE = 'Log-probability by length: nearer to 0 is more probable'

function scoreText(score: number): string {
  return score.toFixed(2).replace('-', '\u2212')
}
