/**
 * What describes a model: image, encoder and decoder. Part of the training config and of the model
 * folder's config.json; the models themselves are built in encoders/ and decoders/.
 */
import { z } from 'zod'
import { belowOne, flag, integer, oneOf } from '../schema.js'

const perChannel = (each: z.ZodNumber, expected: string) =>
  z.tuple([each, each, each]).describe(expected).default([0.5, 0.5, 0.5]).readonly()

const image = z
  .strictObject({
    /** Height and width, pixels. */
    size: integer(32, 1024).default(224),
    /** How a picture becomes a square: its sides scaled alike or not, or its middle cut out. */
    resize: oneOf(['squash', 'crop']).default('squash'),
    /** Subtracted from red, green, blue in 0-1. It belongs to the encoder's weights. */
    mean: perChannel(z.number().min(0).max(1), 'three numbers from 0 to 1'),
    /** Divides red, green, blue in 0-1. It belongs to the encoder's weights. */
    std: perChannel(z.number().gt(0).max(1), 'three numbers above 0, at most 1'),
  })
  .readonly()

const encoder = z
  .strictObject({
    name: oneOf(['tiny', 'mobilenet_v2', 'resnet18']).default('mobilenet_v2'),
    /** `same` pads strided convolutions at the right and bottom, as TensorFlow's weights expect. */
    padding: oneOf(['symmetric', 'same']).default('symmetric'),
  })
  .readonly()

const decoder = z
  .strictObject({
    name: oneOf(['transformer']).default('transformer'),
    /** Width C of the text positions. */
    dim: integer(8, 8192).default(256),
    layers: integer(1, 48).default(3),
    heads: integer(1, 128).default(8),
    /** Width of the hidden layer after each attention. */
    feedForward: integer(8, 32768).default(1024),
    dropout: belowOne().default(0.1),
    /** Dropout of attention probabilities. */
    attentionDropout: belowOne().default(0),
    activation: oneOf(['gelu', 'relu']).default('gelu'),
    norm: oneOf(['layer', 'rms']).default('layer'),
    /** Normalise before each sublayer, not after its residual. */
    preNorm: flag().default(true),
    /** The classifier uses the embedding's weight. */
    tied: flag().default(true),
    positions: oneOf(['learned', 'sinusoidal']).default('learned'),
    /** Text positions T: the longest caption, its end token included. */
    maxTokens: integer(2, 512).default(40),
  })
  .readonly()

/** Schema of ModelConfig. */
export const modelSchema = z.strictObject({ image, encoder, decoder }).readonly()

/** Image, encoder and decoder of a model, with every default filled in. */
export type ModelConfig = z.output<typeof modelSchema>
