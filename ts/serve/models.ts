/** Models by the ids that requests name. */
import { nearest, UnavailableError } from '../errors.js'
import { HttpError } from './http-error.js'
import type { CaptionService, ServedModel } from './service.js'

/** A service and the ids of all its models, loaded or not, the default first. */
export interface Models {
  readonly service: CaptionService
  readonly modelIds: readonly string[]
}

/**
 * @param id the default model when left out
 * @throws HttpError 404 for an unknown one
 */
export function modelId({ modelIds }: Models, id = modelIds[0] ?? ''): string {
  if (modelIds.includes(id)) return id
  const near = nearest(id, modelIds)
  const hint = near === undefined ? `there is ${modelIds.join(', ')}` : `did you mean "${near}"?`
  throw new HttpError(404, 'ERR_NOT_FOUND', `There is no model "${id.slice(0, 64)}"; ${hint}`)
}

/** @throws UnavailableError while it is not loaded */
export function defaultModel({ service, modelIds }: Models): ServedModel {
  const found = service.models().find(({ id }) => id === modelIds[0])
  if (found) return found
  throw new UnavailableError(`The model "${modelIds[0]}" is not loaded now. Try again in a moment`)
}
