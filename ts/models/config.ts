/**
 * What describes a model: image, encoder and decoder. Part of the training config and of the model
 * folder's config.json; the models themselves are built in encoders/ and decoders/.
 */
import { z } from 'zod'
import { above, belowOne, flag, fromTo, integer, oneOf } from '../schema.js'

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

/** Every encoder name: torchvision's, but for `tiny` (the demo's), `vit_s_16` and `vit_postnorm_16`. */
export const encoderNames = [
  'tiny',
  'mobilenet_v2',
  'resnet18',
  'resnet34',
  'resnet50',
  'resnet101',
  'resnet152',
  'efficientnet_b0',
  'efficientnet_b1',
  'efficientnet_b2',
  'efficientnet_b3',
  'vit_b_16',
  'vit_s_16',
  'vit_postnorm_16',
] as const

const encoder = z
  .strictObject({
    name: oneOf(encoderNames).default('mobilenet_v2'),
    /** `same` pads strided convolutions at the right and bottom, as TensorFlow's weights expect. */
    padding: oneOf(['symmetric', 'same']).default('symmetric'),
    /** Added to variances by batch norm; it belongs to the weights: 1e-5 of PyTorch's, 1e-3 of TensorFlow's. */
    normEpsilon: above(0, 0.1).default(1e-5),
    /** Of a ViT that is trained. */
    dropout: belowOne().default(0),
  })
  .readonly()

/** Schema of a decoder. */
export const decoderSchema = z
  .strictObject({
    name: oneOf(['transformer', 'lstm', 'eir']).default('transformer'),
    /** Width C of the text positions; of an LSTM its hidden state's. */
    dim: integer(8, 8192).default(256),
    layers: integer(1, 48).default(3),
    heads: integer(1, 128).default(8),
    /** Channels of each head; dim / heads when left out. */
    headSize: integer(1, 8192).optional(),
    /** Width of the hidden layer after each attention. */
    feedForward: integer(8, 32768).default(1024),
    /** Dropout of embeddings and of what each sublayer adds. */
    dropout: belowOne().default(0.1),
    /** Dropout of attention probabilities. */
    attentionDropout: belowOne().default(0),
    /** Dropout inside the feed-forward layer; `dropout` when left out. */
    feedForwardDropout: belowOne().optional(),
    /** Dropout before the classifier. */
    outputDropout: belowOne().default(0),
    activation: oneOf(['gelu', 'relu', 'swiglu']).default('gelu'),
    norm: oneOf(['layer', 'rms']).default('layer'),
    /** Normalise before each sublayer, not after its residual. */
    preNorm: flag().default(true),
    /** The classifier uses the embedding's weight. */
    tied: flag().default(true),
    positions: oneOf(['learned', 'sinusoidal', 'rotary']).default('learned'),
    /** Text positions T: the longest caption, its end token included. */
    maxTokens: integer(2, 512).default(40),
    /**
     * What a transformer looks at: the image memory projected to `dim`, with learned positions and a norm; the memory
     * itself, whose channels must be `dim`; or the memory after a block of self-attention among its cells.
     */
    memory: oneOf(['projected', 'direct', 'block']).default('projected'),
    /** Heads of that block. */
    memoryHeads: integer(1, 128).default(2),
    /** The map is resampled to so many cells a side by adaptive average pooling; as it is when left out. */
    memorySide: integer(1, 64).optional(),
    /** LSTM: size of word embeddings. */
    embeddingDim: integer(8, 8192).default(512),
    /** LSTM: hidden size of its additive attention. */
    attentionDim: integer(8, 8192).default(512),
    /** LSTM: weight in the loss of mean (1 - sum over time of a cell's attention)^2, so that all of the image is seen. */
    attentionPenalty: fromTo(0, 1000).default(0),
  })
  .readonly()

/** Schema of ModelConfig. */
export const modelSchema = z.strictObject({ image, encoder, decoder: decoderSchema }).readonly()

/** Image, encoder and decoder of a model, with every default filled in. */
export type ModelConfig = z.output<typeof modelSchema>
