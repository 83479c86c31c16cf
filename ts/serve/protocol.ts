/**
 * What the server and a model's process tell each other. Every image that is sent to decode gets exactly one answer,
 * unless it is forgotten while it waits. Who sends what when: process-queue.ts and model-host.ts.
 */
import type { Caption } from '../captioner.js'
import type { CaptionOptions } from '../decoding/options.js'
import * as errors from '../errors.js'
import type { ServedModel } from './service.js'

export type ToHost =
  | {
      readonly type: 'decode'
      readonly id: number
      readonly image: Uint8Array
      readonly options: CaptionOptions
    }
  /** Captions decoded images of equal options together. */
  | { readonly type: 'caption'; readonly ids: readonly number[] }
  /** Captions one and tells of each token. */
  | { readonly type: 'stream'; readonly id: number }
  /** Nobody waits for it: drops a decoded image, ends a stream. */
  | { readonly type: 'forget'; readonly id: number }

export type FromHost =
  | { readonly type: 'ready'; readonly facts: HostFacts }
  /** The model cannot be loaded. */
  | { readonly type: 'failed'; readonly problem: Problem }
  /** Ready to be captioned, with at most `together` images of the same options. */
  | { readonly type: 'decoded'; readonly id: number; readonly together: number }
  | { readonly type: 'progress'; readonly id: number; readonly text: string }
  | { readonly type: 'captioned'; readonly id: number; readonly caption: Caption }
  | { readonly type: 'refused'; readonly id: number; readonly problem: Problem }

/** What a process knows of its model. */
export type HostFacts = Omit<ServedModel, 'id' | 'folder' | 'loadedAt'>

/** An error on its way between processes, which takes its class away. */
export interface Problem {
  readonly code: string
  readonly message: string
}

export function problemOf(error: unknown): Problem {
  const { code, message } =
    error instanceof errors.CaptioneerError
      ? error
      : errors.internalError(error instanceof Error ? error.message : String(error))
  return { code, message }
}

const classes = {
  ERR_ARGUMENT: errors.ArgumentError,
  ERR_CHECKPOINT: errors.CheckpointError,
  ERR_DEVICE: errors.DeviceError,
  ERR_IMAGE: errors.ImageError,
  ERR_OUT_OF_MEMORY: errors.OutOfMemoryError,
} as const

export function errorOf({ code, message }: Problem): errors.CaptioneerError {
  return Object.hasOwn(classes, code)
    ? new classes[code as keyof typeof classes](message)
    : new errors.CaptioneerError(code, message)
}
