/** Presets: named settings that a training run starts from. Whatever one leaves out has its default. */
import type { PartialConfig } from '../train/config.js'

/** Every preset name; the first that suits photographs is the default of `train`. */
export const presetNames = [
  'tiny',
  'mobilenetv2-transformer',
  'resnet18-transformer',
  'eir-resnet18',
  'efficientnetb1-transformer-tiny',
  'efficientnetb1-transformer-s',
  'efficientnetb1-transformer-l',
  'efficientnetb1-transformer-lplus',
  'efficientnetb1-transformer-xl',
  'resnet101-lstm',
  'vit-transformer',
] as const

/** Name of a preset. */
export type PresetName = (typeof presetNames)[number]

/** What torchvision's weights were trained with. */
const imageNet = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] } as const

/**
 * The Keras captioner of stanislavlia/dtsa5511_image_captioning: a frozen EfficientNet-B1, one block on the image's side,
 * one on the text's, heads each as wide as the model. An epoch here sees one of an image's five captions: five make one of its.
 */
function efficientNet(sizes: {
  readonly dim: number
  readonly feedForward: number
  readonly heads: number
  readonly learningRate: number
  readonly epochs: number
}): PartialConfig {
  const { dim, feedForward, heads, learningRate, epochs } = sizes
  return {
    model: {
      image: { size: 224, resize: 'squash', ...imageNet },
      encoder: { name: 'efficientnet_b1', padding: 'same', normEpsilon: 1e-3 },
      decoder: {
        dim,
        layers: 1,
        heads,
        headSize: dim,
        feedForward,
        dropout: 0,
        attentionDropout: 0.1,
        feedForwardDropout: 0.3,
        outputDropout: 0.5,
        activation: 'relu',
        preNorm: false,
        tied: false,
        positions: 'learned',
        maxTokens: 36,
        memory: 'block',
        memoryHeads: heads,
      },
    },
    tokenizer: { kind: 'word', normalization: 'keras', minCount: 1, maxSize: 10_000 },
    data: { captionsPerImage: 1 },
    freezeEncoder: true,
    optimizer: {
      name: 'adam',
      learningRate,
      // Keras's; PyTorch's is 1e-8.
      epsilon: 1e-7,
      weightDecay: 0,
      clipNorm: 0,
      labelSmoothing: 0,
    },
    schedule: { name: 'constant', warmupSteps: 0 },
    batchSize: 128,
    epochs: 5 * epochs,
    earlyStopping: { patience: 10 },
    generation: { beam: 1, maxTokens: 36 },
  }
}

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
      image: { size: 224, resize: 'squash', ...imageNet },
      encoder: { name: 'resnet18', padding: 'symmetric' },
      decoder: { dim: 256, layers: 4, heads: 8, feedForward: 1024, dropout: 0.1 },
    },
    freezeEncoder: false,
    optimizer: { learningRate: 5e-4 },
  },

  // EIR's image captioning tutorial: small pictures, one fusion of image and text between two stacks, drawn captions.
  'eir-resnet18': {
    model: {
      image: { size: 64, resize: 'squash', ...imageNet },
      encoder: { name: 'resnet18', padding: 'symmetric' },
      decoder: {
        name: 'eir',
        dim: 128,
        layers: 6,
        heads: 8,
        feedForward: 512,
        dropout: 0.1,
        attentionDropout: 0.1,
        norm: 'rms',
        activation: 'swiglu',
        positions: 'rotary',
        tied: false,
        maxTokens: 32,
      },
    },
    tokenizer: { kind: 'word', normalization: 'whitespace', minCount: 20, maxSize: 1_000_000 },
    data: { captionsPerImage: 1 },
    freezeEncoder: false,
    optimizer: {
      // What EIR's `adabelief` is: adabelief-pytorch 0.2 with its defaults.
      name: 'adabeliefw',
      learningRate: 1e-3,
      epsilon: 1e-16,
      rectify: true,
      weightDecay: 1e-4,
      decayEmbeddings: true,
      clipNorm: 1,
      labelSmoothing: 0,
    },
    schedule: { name: 'plateau', warmupSteps: 2000, factor: 0.2, patience: 10 },
    validation: { every: 500, images: 500 },
    earlyStopping: { patience: 10 },
    batchSize: 64,
    epochs: 6,
    generation: {
      temperature: 0.7,
      topK: 20,
      topP: 0.9,
      tau: 0.95,
      repetitionPenalty: 1.1,
      repetitionWindow: 64,
      frequencyPenalty: 0.1,
      frequencyWindow: 128,
      maxTokens: 32,
    },
  },

  'efficientnetb1-transformer-tiny': efficientNet({
    dim: 256,
    feedForward: 256,
    heads: 4,
    learningRate: 1e-4,
    epochs: 30,
  }),
  'efficientnetb1-transformer-s': efficientNet({
    dim: 512,
    feedForward: 256,
    heads: 2,
    learningRate: 1e-3,
    epochs: 20,
  }),
  'efficientnetb1-transformer-l': efficientNet({
    dim: 1028,
    feedForward: 512,
    heads: 4,
    learningRate: 1e-4,
    epochs: 10,
  }),
  'efficientnetb1-transformer-lplus': efficientNet({
    dim: 1256,
    feedForward: 512,
    heads: 4,
    learningRate: 1e-4,
    epochs: 40,
  }),
  'efficientnetb1-transformer-xl': efficientNet({
    dim: 1028,
    feedForward: 512,
    heads: 6,
    learningRate: 1e-4,
    epochs: 40,
  }),

  // Show, Attend and Tell as sgrvinod's tutorial trains it, first with a frozen encoder; then init: the best model,
  // freezeEncoder: 2. An epoch sees one of an image's five captions: five make one of the tutorial's.
  'resnet101-lstm': {
    model: {
      image: { size: 256, resize: 'squash', ...imageNet },
      encoder: { name: 'resnet101', padding: 'symmetric' },
      decoder: {
        name: 'lstm',
        dim: 512,
        embeddingDim: 512,
        attentionDim: 512,
        dropout: 0,
        outputDropout: 0.5,
        attentionPenalty: 1,
        memorySide: 14,
        tied: false,
        maxTokens: 51,
      },
    },
    tokenizer: { kind: 'word', minCount: 6 },
    data: { captionsPerImage: 1, longCaptions: 'drop' },
    freezeEncoder: true,
    optimizer: {
      name: 'adam',
      learningRate: 4e-4,
      encoderLearningRate: 1e-4,
      weightDecay: 0,
      clipNorm: 0,
      clipValue: 5,
      labelSmoothing: 0,
    },
    schedule: { name: 'plateau', warmupSteps: 0, factor: 0.8, patience: 40 },
    validation: { metric: 'bleu4', captions: 1000 },
    earlyStopping: { patience: 100 },
    batchSize: 32,
    epochs: 600,
    generation: { beam: 5, maxTokens: 51 },
  },

  // A ViT and a transformer decoder from nothing, both post-norm, of deependujha/Image-Captioning. An epoch sees one of an
  // image's five captions: five make one of its.
  'vit-transformer': {
    model: {
      image: { size: 224, resize: 'squash', mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] },
      encoder: { name: 'vit_postnorm_16', dropout: 0.01 },
      decoder: {
        dim: 768,
        layers: 6,
        heads: 8,
        feedForward: 2048,
        dropout: 0.01,
        attentionDropout: 0.01,
        activation: 'relu',
        preNorm: false,
        tied: false,
        positions: 'sinusoidal',
        maxTokens: 20,
        memory: 'direct',
      },
    },
    tokenizer: { kind: 'word', normalization: 'basic-english', clean: true, minCount: 1 },
    data: { captionsPerImage: 1, flip: true },
    freezeEncoder: false,
    optimizer: { name: 'adam', learningRate: 1e-3, weightDecay: 0, clipNorm: 0, labelSmoothing: 0 },
    schedule: { name: 'constant', warmupSteps: 0 },
    batchSize: 64,
    epochs: 50,
    generation: { beam: 1, maxTokens: 20 },
  },
}
