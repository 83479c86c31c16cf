/** The loss of a model that never sees an image, beside which that of a captioner stands: what the words alone tell. */
import type { CaptionedImage } from '../data/dataset.js'
import { ArgumentError } from '../errors.js'
import { loadParams, releaseParams } from '../models/inference.js'
import type { ModelFolder } from '../models/model-folder.js'
import type { Device } from '../native.js'
import { saveTokenizer } from '../tokenizer/tokenizer-json.js'
import { noImageSource } from '../train/image-source.js'
import { type LossResult, teacherForcedLoss } from './harness.js'

/** @throws ArgumentError when the folder's model sees images, or cuts text otherwise than the one it is compared with */
export function checkTextOnly(folder: ModelFolder, compared: ModelFolder): void {
  if (folder.model.image)
    throw new ArgumentError(
      `evaluate: expected textOnly to be a model trained without images, but that of ${folder.path} sees them. ` +
        'Train one with: captioneer train --no-image',
    )
  if (saveTokenizer(folder.tokenizer) !== saveTokenizer(compared.tokenizer))
    throw new ArgumentError(
      `evaluate: the tokenizers of ${folder.path} and ${compared.path} differ, so that their losses per token ` +
        'cannot be compared. Train both on the same data with the same tokenizer settings',
    )
}

/** Teacher-forced loss of a text-only model over all captions of the images. Throws the signal's reason. */
export async function textOnlyLoss(
  folder: ModelFolder,
  device: Device,
  images: readonly CaptionedImage[],
  batchSize: number,
  signal: AbortSignal | undefined,
): Promise<LossResult> {
  const { model, tokenizer, generation } = folder
  const params = loadParams(folder, device)
  try {
    const source = noImageSource(model)
    const subject = {
      model,
      params,
      tokenizer,
      device,
      source,
      images,
      generation,
      batchSize,
      signal,
    }
    return await teacherForcedLoss(subject, Array.from(images.keys()))
  } finally {
    releaseParams(params)
  }
}
