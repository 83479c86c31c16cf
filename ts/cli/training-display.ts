/** What `train` and `demo` show of a run at work: a bar of its steps, lines for validations and warnings. */
import type { FeatureProgress } from '../data/feature-cache.js'
import type { StepProgress, TrainEvent, ValidationProgress } from '../train/events.js'
import { bytesText, shownPath, thousands, three } from './format.js'
import type { ProgressBar } from './progress-bar.js'
import { paint } from './terminal.js'

export interface TrainingDisplay {
  readonly onProgress: (step: StepProgress) => void
  readonly onEvent: (event: TrainEvent) => void
}

export function createTrainingDisplay(bar: ProgressBar): TrainingDisplay {
  let run = { step: Number.POSITIVE_INFINITY, started: 0 }
  let features: { started: number; from: number } | undefined
  return {
    onProgress: (step) => {
      // Steps that begin anew are another run's.
      const started = step.step > run.step ? run.started : performance.now()
      run = { step: step.step, started }
      const elapsed = (performance.now() - started) / 1000
      bar.update({
        label: 'training',
        done: step.step,
        total: step.steps,
        // A time limit may end the run long before its last step.
        share: Math.max(step.step / step.steps, elapsed / (elapsed + step.secondsLeft + 1e-9)),
        facts: [
          `loss ${step.loss.toFixed(3)}`,
          `${three(step.imagesPerSecond)} images/s`,
          `${three(step.captionsPerSecond)} captions/s`,
          `epoch ${step.epoch + 1}`,
        ],
        secondsLeft: step.secondsLeft,
      })
    },
    onEvent: (event) => {
      switch (event.kind) {
        case 'features':
          if (!features) {
            features = { started: performance.now(), from: event.done }
            bar.note(featuresText(event))
          }
          bar.update(featuresBar(event, features))
          break
        case 'decoding':
          bar.update({ label: 'decoding', done: event.done, total: event.images, facts: [] })
          break
        case 'validation':
          bar.note(validationText(event))
          break
        case 'warning':
          bar.note(`${paint(process.stderr, 'yellow', 'warning:')} ${event.text}`)
          break
        case 'message':
          bar.note(event.text)
      }
    },
  }
}

function featuresText({ done, images, bytes, path }: FeatureProgress): string {
  const start = done > 0 ? `; ${thousands(done)} are there already` : ''
  return `features of ${thousands(images)} images take ${bytesText(bytes)} in ${path}${start}`
}

function featuresBar(
  { done, images }: FeatureProgress,
  { started, from }: { started: number; from: number },
) {
  const perSecond = (1000 * (done - from)) / (performance.now() - started)
  const known = done > from
  return {
    label: 'features',
    done,
    total: images,
    facts: known ? [`${three(perSecond)} images/s`] : [],
    ...(known ? { secondsLeft: (images - done) / perSecond } : {}),
  }
}

function validationText(event: ValidationProgress): string {
  const { step, loss, accuracy, bleu4, cider, best, samples } = event
  const figures = [
    `step ${thousands(step)}: validation loss ${loss.toFixed(4)}${best ? ' (best)' : ''}`,
    `token accuracy ${percent(accuracy)}`,
    // Without captions there is nothing to score.
    ...(samples.length + bleu4 + cider > 0
      ? [`BLEU-4 ${hundredfold(bleu4)}`, `CIDEr ${hundredfold(cider)}`]
      : []),
  ]
  const captions = samples.map(({ image, caption }) => `    ${shownPath(image)}: ${caption}`)
  return [paint(process.stderr, 'bold', figures.join('  ')), ...captions].join('\n')
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`
}

function hundredfold(score: number): string {
  return (100 * score).toFixed(1)
}
