/** Samples as large as training has them: photographs at 224 pixels, 32 pictures with five captions of twelve words. */

import type { Sample, SampleInput } from '../tests/ops/samples.js'
import type { OpName } from '../ts/ops/registry.js'

const of = (...shape: number[]): SampleInput => ({ shape })
const images = 32
const captions = 5 * images
const words = 12
const tokens = captions * words
const cells = 49
const dim = 256

/** 0, length, 2 length, ... */
const offsets = (count: number, length: number): SampleInput => ({
  shape: [count + 1],
  dtype: 'int32',
  data: Array.from({ length: count + 1 }, (_, i) => i * length),
})
const ids = (count: number, below: number): SampleInput => ({
  shape: [count],
  dtype: 'int32',
  integers: [0, below],
})
const norm = (channels: number) => ({
  gamma: of(channels),
  beta: of(channels),
  runningMean: of(channels),
  runningVar: { ...of(channels), scale: 0, offset: 1 },
})

export const largeShapes: Readonly<Partial<Record<OpName, readonly Sample[]>>> = {
  convolution: [
    {
      inputs: { x: of(8, 224, 224, 3), weight: of(64, 7, 7, 3) },
      options: { stride: 2, padding: 3 },
    },
    { inputs: { x: of(8, 56, 56, 64), weight: of(64, 3, 3, 64) }, options: { padding: 1 } },
    { inputs: { x: of(8, 14, 14, 256), weight: of(256, 3, 3, 256) }, options: { padding: 1 } },
    { inputs: { x: of(8, 28, 28, 192), weight: of(32, 1, 1, 192) }, options: { padding: 0 } },
    {
      inputs: { x: of(8, 56, 56, 144), weight: of(144, 3, 3, 1) },
      options: { padding: 1, groups: 144 },
    },
  ],
  convolutionBatchNorm: [
    {
      inputs: { x: of(8, 56, 56, 64), weight: of(64, 3, 3, 64), ...norm(64) },
      options: { padding: 1, activation: 'relu' },
      gradients: ['x', 'weight', 'gamma', 'beta'],
    },
  ],
  maxPool: [{ inputs: { x: of(8, 112, 112, 64) }, options: { size: 3, stride: 2, padding: 1 } }],
  linear: [
    { inputs: { x: of(tokens, dim), weight: of(3 * dim, dim), bias: of(3 * dim) } },
    {
      inputs: { x: of(tokens, dim), weight: of(4 * dim, dim), bias: of(4 * dim) },
      options: { activation: 'gelu' },
    },
    {
      inputs: {
        x: of(tokens, 4 * dim),
        weight: of(dim, 4 * dim),
        bias: of(dim),
        residual: of(tokens, dim),
      },
    },
    { inputs: { x: of(images * cells, 1280), weight: of(dim, 1280), bias: of(dim) } },
  ],
  linearCrossEntropy: [
    {
      inputs: {
        x: of(tokens, dim),
        weight: { ...of(3000, dim), scale: 0.05 },
        bias: of(3000),
        targets: ids(tokens, 3000),
        denominator: { shape: [1], data: [tokens] },
      },
      options: { labelSmoothing: 0.1 },
      gradients: ['x', 'weight', 'bias'],
    },
  ],
  layerNorm: [{ inputs: { x: of(tokens, dim), weight: of(dim), bias: of(dim) } }],
  embedding: [{ inputs: { tokens: ids(tokens, 3000), tokenWeight: of(3000, dim) } }],
  selfAttention: [
    {
      inputs: { qkv: of(tokens, 3 * dim), offsets: offsets(captions, words) },
      options: { heads: 8, causal: true, maxLength: words },
    },
  ],
  crossAttention: [
    {
      inputs: {
        q: of(tokens, dim),
        kv: of(images * cells, 2 * dim),
        queryOffsets: offsets(captions, words),
        keyOffsets: offsets(images, cells),
      },
      options: { heads: 8, rowsPerKey: captions / images, maxQueries: words, maxKeys: cells },
    },
  ],
}
