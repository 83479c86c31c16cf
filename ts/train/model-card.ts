/** The model folder's README.md: what the model is, from what data, how good. */
import { version } from '../version.js'
import type { Run } from './prepare.js'

export function modelCard(run: Run): string {
  const { config, state, dataset } = run
  const loss = state.best ? `${state.best.loss.toFixed(4)} nats per token` : 'not measured'
  return `# Captioning model

Trained with captioneer ${version}.

| | |
|---|---|
| preset | ${config.preset} |
| encoder | ${run.model.image ? config.model.encoder.name : 'none (text-only baseline)'} |
| decoder | ${config.model.decoder.name}, ${config.model.decoder.layers} layers of ${config.model.decoder.dim} |
| vocabulary | ${run.model.vocabulary} |
| data | ${dataset.layout}: ${run.trainImages.length} training and ${run.validationImages.length} validation images |
| step | ${state.step} |
| validation loss | ${loss} |

Use it with \`captioneer caption IMAGE --model FOLDER\`, or in TypeScript with \`loadCaptioner(FOLDER)\`.
The weights keep PyTorch's layouts and names; the language is that of the training captions.
`
}
