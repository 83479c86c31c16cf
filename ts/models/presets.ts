/** Presets: named settings that a training run starts from. Whatever one leaves out has its default. */
import type { PartialConfig } from '../train/config.js'

/** Every preset name; the first that suits photographs is the default of `train`. */
export const presetNames = ['tiny', 'mobilenetv2-transformer', 'resnet18-transformer'] as const

/** Name of a preset. */
export type PresetName = (typeof presetNames)[number]

/** The settings of each preset. */
export const presets: Readonly<Record<PresetName, PartialConfig>> = {
  // The demo's: generated scenes in two minutes on two CPU cores. More layers and more, smaller steps learn the
  // relations of two groups sooner than wider layers and more captions of each image (docs/numbers.md).
  tiny: {
    model: {
      image: { size: 64 },
      encoder: { name: 'tiny' },
      decoder: { dim: 96, layers: 4, heads: 4, feedForward: 192, dropout: 0 },
    },
    tokenizer: { kind: 'word', minCount: 1 },
    data: { captionsPerImage: 2 },
    freezeEncoder: false,
    optimizer: { learningRate: 1.5e-3, labelSmoothing: 0 },
    schedule: { name: 'cosine' },
    batchSize: 16,
  },

  // Photographs: a frozen ImageNet encoder, whose features are computed once.
  'mobilenetv2-transformer': {
    model: {
      image: { size: 224, resize: 'squash', mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] },
      encoder: { name: 'mobilenet_v2', padding: 'same' },
      decoder: {
        dim: 256,
        layers: 3,
        heads: 8,
        feedForward: 1024,
        dropout: 0.2,
        attentionDropout: 0.1,
        activation: 'gelu',
        preNorm: true,
        tied: true,
        positions: 'learned',
      },
    },
    tokenizer: { kind: 'word', minCount: 5 },
    data: { flip: true },
    freezeEncoder: true,
    cacheFeatures: 'auto',
    optimizer: { learningRate: 1e-3, labelSmoothing: 0.1 },
    schedule: { name: 'cosine', warmupSteps: 150 },
    batchSize: 32,
    epochs: 8,
  },

  // Photographs: the encoder learns along, from ImageNet weights or from nothing.
  'resnet18-transformer': {
    model: {
      image: {
        size: 224,
        resize: 'squash',
        mean: [0.485, 0.456, 0.406],
        std: [0.229, 0.224, 0.225],
      },
      encoder: { name: 'resnet18', padding: 'symmetric' },
      decoder: { dim: 256, layers: 4, heads: 8, feedForward: 1024, dropout: 0.1 },
    },
    freezeEncoder: false,
    optimizer: { learningRate: 5e-4 },
  },
}
