/** JSON schemas of what routes take and give, which the OpenAPI document is made from. Only /predict's body is checked by one. */
import { fieldSchemas } from './caption-fields.js'

export function statusSchema(description: string) {
  return { type: 'object', description, properties: { status: { type: 'string' } } } as const
}

export const modelSchema = {
  type: 'object',
  description: 'A model',
  properties: {
    id: { type: 'string' },
    device: { type: 'string', enum: ['cpu', 'cuda'] },
    image: {
      type: 'object',
      properties: {
        size: { type: 'integer', description: 'side in pixels' },
        resize: { type: 'string', enum: ['squash', 'crop'] },
      },
    },
    parameters: { type: 'integer' },
    vocabulary: { type: 'integer' },
    loadedAt: { type: 'string', format: 'date-time' },
  },
} as const

const attentionSchema = {
  type: 'object',
  properties: {
    width: { type: 'integer' },
    height: { type: 'integer' },
    words: {
      type: 'array',
      items: {
        type: 'object',
        properties: {
          word: { type: 'string' },
          weights: {
            type: 'array',
            items: { type: 'number', minimum: 0, maximum: 1 },
            description: 'height * width shares, row by row',
          },
        },
      },
    },
  },
} as const

const score = {
  type: 'number',
  description: 'log-probability / length^length_penalty, nats',
} as const

export const captionSchema = {
  type: 'object',
  properties: {
    image: { type: 'string', description: "the file's name" },
    caption: { type: 'string' },
    score,
    captions: {
      type: 'array',
      description: 'all of them, with num_captions above 1; the first is the caption',
      items: {
        type: 'object',
        properties: { caption: { type: 'string' }, score, attention: attentionSchema },
      },
    },
    tokens: { type: 'array', items: { type: 'integer' } },
    attention: { ...attentionSchema, description: 'with attention=true' },
    model: { type: 'string' },
    file: { type: 'string', description: 'as image' },
    predicted: { type: 'string', description: 'as caption' },
  },
} as const

export const failureSchema = {
  type: 'object',
  properties: {
    error: {
      type: 'object',
      required: ['code', 'message'],
      properties: { code: { type: 'string' }, message: { type: 'string' } },
    },
    requestId: { type: 'string' },
  },
  required: ['error', 'requestId'],
} as const

const meanings: Readonly<Record<number, string>> = {
  400: 'A wrong option or form',
  401: 'No token, or the wrong one',
  403: 'Not allowed',
  404: 'No such model',
  408: 'The request came too slowly',
  413: 'Too large',
  415: 'Not the right content-type',
  422: 'An image that cannot be decoded',
  429: 'The queue is full; Retry-After says when to come again',
  503: 'Starting or shutting down; Retry-After says when to come again',
  504: 'It took too long',
}

/** The schema of each of these statuses. */
export function failures(...statuses: readonly number[]): Record<number, object> {
  return Object.fromEntries(
    statuses.map((status) => [
      status,
      { ...failureSchema, description: meanings[status] ?? 'It failed' },
    ]),
  )
}

/** The options as a query. */
export const optionsQuery = { type: 'object', properties: fieldSchemas } as const

/** The form of /caption. */
export const captionForm = {
  type: 'object',
  properties: {
    file: {
      type: 'string',
      format: 'binary',
      description: 'a JPEG, PNG or WebP image; several of them give results in their order',
    },
    url: {
      type: 'string',
      description: 'instead of a file, where the server allows it: the address of an image',
    },
    ...fieldSchemas,
  },
} as const
