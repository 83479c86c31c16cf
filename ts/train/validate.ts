/** A validation during training: teacher-forced loss, and free-running captions with their scores. */
import { captionIndices, type Subject, teacherForcedLoss } from '../evaluate/harness.js'
import { scoreCaptions } from '../evaluate/score.js'
import type { SampleCaption, ValidationProgress } from './events.js'
import type { Run } from './prepare.js'

/** Loss over the validation images and scores of captions of them; the run's own settings say how many. */
export async function validate(run: Run): Promise<Omit<ValidationProgress, 'best'>> {
  const { config, state } = run
  const subject: Subject = {
    model: run.model,
    params: run.weights.params,
    tokenizer: run.tokenizer,
    device: run.device,
    source: run.validationSource,
    images: run.validationImages,
    generation: run.generation,
    batchSize: config.batchSize,
  }
  const count = Math.min(config.validation.images, run.validationImages.length)
  const indices = Array.from({ length: count }, (_, i) => i)
  const { loss, accuracy } = await teacherForcedLoss(subject, indices)
  const captioned = indices.slice(0, config.validation.captions)
  const captions = await captionIndices(subject, captioned, { beam: config.validation.beam })
  const items = captioned.map((i) => {
    const image = run.validationImages[i]
    return {
      id: image?.id ?? String(i),
      path: image?.path ?? '',
      candidate: captions[i]?.[0]?.text ?? '',
      references: image?.captions ?? [],
    }
  })
  const scores = items.length > 0 ? scoreCaptions(items) : undefined
  const samples: SampleCaption[] = items
    .slice(0, config.validation.samples)
    .map(({ id, path, candidate, references }) => ({
      image: id,
      path,
      caption: candidate,
      references,
    }))
  return {
    step: state.step,
    epoch: Math.floor((state.step - 1) / run.stepsPerEpoch),
    loss,
    accuracy,
    bleu4: scores?.bleu[3] ?? 0,
    cider: scores?.cider ?? 0,
    samples,
  }
}
