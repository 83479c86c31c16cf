/**
 * The types of every kernel, as binding/kernels.h declares it, and the codes of its options. What calls them is
 * native.ts; what they mean to a user is in ops/.
 */
import type { Tensor } from './tensor.js'

export type Maybe = Tensor | undefined

/** Every kernel, as binding/kernels.h declares it (without the stream). */
export interface Kernels {
  fill(out: Tensor, value: number): void
  copy(out: Tensor, x: Tensor): void
  add(out: Tensor, a: Tensor, b: Tensor): void
  accumulate(out: Tensor, x: Tensor): void
  multiply(out: Tensor, x: Tensor, factor: Tensor): void
  normalizeImage(out: Tensor, x: Tensor, mean: Tensor, std: Tensor, crop: Maybe): void
  convolution(
    out: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Maybe,
    residual: Maybe,
    stride: number,
    padTop: number,
    padLeft: number,
    groups: number,
    activation: number,
    constant: number,
  ): void
  dropConstant(constant: number): void
  convolutionBackward(
    dx: Maybe,
    dweight: Maybe,
    dbias: Maybe,
    dresidual: Maybe,
    dout: Tensor,
    x: Tensor,
    weight: Tensor,
    out: Maybe,
    stride: number,
    padTop: number,
    padLeft: number,
    groups: number,
    activation: number,
  ): void
  convolutionBatchNorm(
    out: Tensor,
    y: Maybe,
    mean: Maybe,
    rstd: Maybe,
    runningMean: Tensor,
    runningVar: Tensor,
    x: Tensor,
    weight: Tensor,
    gamma: Tensor,
    beta: Tensor,
    residual: Maybe,
    stride: number,
    padTop: number,
    padLeft: number,
    groups: number,
    activation: number,
    momentum: number,
    epsilon: number,
  ): void
  convolutionBatchNormBackward(
    dx: Maybe,
    dweight: Maybe,
    dgamma: Maybe,
    dbeta: Maybe,
    dresidual: Maybe,
    dout: Tensor,
    out: Maybe,
    y: Tensor,
    mean: Tensor,
    rstd: Tensor,
    x: Tensor,
    weight: Tensor,
    gamma: Tensor,
    beta: Tensor,
    stride: number,
    padTop: number,
    padLeft: number,
    groups: number,
    activation: number,
  ): void
  foldBatchNorm(
    foldedWeight: Tensor,
    foldedBias: Maybe,
    weight: Tensor,
    gamma: Tensor,
    beta: Tensor,
    mean: Tensor,
    variance: Tensor,
    epsilon: number,
  ): void
  maxPool(out: Tensor, x: Tensor, size: number, stride: number, pad: number): void
  maxPoolBackward(
    dx: Tensor,
    dout: Tensor,
    x: Tensor,
    out: Tensor,
    size: number,
    stride: number,
    pad: number,
  ): void
  adaptiveAveragePool(out: Tensor, x: Tensor): void
  adaptiveAveragePoolBackward(dx: Tensor, dout: Tensor): void
  channelGate(out: Tensor, x: Tensor, gate: Tensor): void
  channelGateBackward(dx: Maybe, dgate: Maybe, dout: Tensor, x: Tensor, gate: Tensor): void
  imageTokens(out: Tensor, x: Tensor, first: Tensor, positions: Tensor): void
  imageTokensBackward(dx: Maybe, dfirst: Maybe, dpositions: Maybe, dout: Tensor): void
  linear(
    out: Tensor,
    pre: Maybe,
    x: Tensor,
    weight: Tensor,
    bias: Maybe,
    residual: Maybe,
    activation: number,
  ): void
  linearBackward(
    dx: Maybe,
    dweight: Maybe,
    dbias: Maybe,
    dout: Tensor,
    x: Tensor,
    weight: Tensor,
    pre: Maybe,
    activation: number,
  ): void
  layerNorm(
    out: Tensor,
    mean: Maybe,
    rstd: Maybe,
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    epsilon: number,
  ): void
  layerNormBackward(
    dx: Maybe,
    dweight: Maybe,
    dbias: Maybe,
    dout: Tensor,
    x: Tensor,
    weight: Tensor,
    mean: Tensor,
    rstd: Tensor,
  ): void
  rmsNorm(out: Tensor, rstd: Maybe, x: Tensor, weight: Tensor, epsilon: number): void
  rmsNormBackward(
    dx: Maybe,
    dweight: Maybe,
    dout: Tensor,
    x: Tensor,
    weight: Tensor,
    rstd: Tensor,
  ): void
  embedding(
    out: Tensor,
    tokens: Tensor,
    positions: Maybe,
    tokenWeight: Tensor,
    positionWeight: Maybe,
    scale: number,
  ): void
  embeddingBackward(
    dtokenWeight: Maybe,
    dpositionWeight: Maybe,
    dout: Tensor,
    tokens: Tensor,
    positions: Maybe,
    scale: number,
  ): void
  dropout(
    out: Tensor,
    x: Tensor,
    residual: Maybe,
    rng: Tensor,
    probability: number,
    tag: number,
  ): void
  attention(
    out: Tensor,
    logSumExp: Maybe,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    queryOffsets: Tensor,
    keyOffsets: Tensor,
    rng: Maybe,
    heads: number,
    rowsPerKey: number,
    causal: boolean,
    probability: number,
    tag: number,
    maxQueries: number,
    maxKeys: number,
  ): void
  attentionBackward(
    dq: Tensor,
    dk: Tensor,
    dv: Tensor,
    dout: Tensor,
    out: Tensor,
    logSumExp: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    queryOffsets: Tensor,
    keyOffsets: Tensor,
    rng: Maybe,
    heads: number,
    rowsPerKey: number,
    causal: boolean,
    probability: number,
    tag: number,
    maxQueries: number,
    maxKeys: number,
  ): void
  attendCache(
    out: Tensor,
    keyCache: Tensor,
    valueCache: Tensor,
    qkv: Tensor,
    ancestors: Maybe,
    heads: number,
    position: number,
  ): void
  attentionWeights(
    out: Tensor,
    q: Tensor,
    k: Tensor,
    queryOffsets: Tensor,
    keyOffsets: Tensor,
    heads: number,
    rowsPerKey: number,
    maxQueries: number,
    maxKeys: number,
  ): void
  rotary(
    out: Tensor,
    x: Tensor,
    positions: Tensor,
    size: number,
    columns: number,
    theta: number,
    inverse: boolean,
  ): void
  swiglu(out: Tensor, x: Tensor): void
  swigluBackward(dx: Tensor, dout: Tensor, x: Tensor): void
  layerScale(out: Tensor, x: Tensor, scale: Tensor, residual: Maybe): void
  layerScaleBackward(dx: Maybe, dscale: Maybe, dout: Tensor, x: Tensor, scale: Tensor): void
  attendingLstm(
    hidden: Tensor,
    alpha: Tensor,
    query: Maybe,
    context: Maybe,
    gate: Maybe,
    gates: Maybe,
    cells: Maybe,
    x: Tensor,
    memory: Tensor,
    keys: Tensor,
    h0: Tensor,
    c0: Tensor,
    decoderWeight: Tensor,
    decoderBias: Tensor,
    scoreWeight: Tensor,
    gateWeight: Tensor,
    gateBias: Tensor,
    inputWeight: Tensor,
    inputBias: Tensor,
    hiddenWeight: Tensor,
    hiddenBias: Tensor,
    offsets: Tensor,
    rowsPerKey: number,
    longest: number,
  ): void
  attendingLstmBackward(
    dx: Maybe,
    dmemory: Maybe,
    dkeys: Maybe,
    dh0: Maybe,
    dc0: Maybe,
    ddecoderWeight: Maybe,
    ddecoderBias: Maybe,
    dscoreWeight: Maybe,
    dgateWeight: Maybe,
    dgateBias: Maybe,
    dinputWeight: Maybe,
    dinputBias: Maybe,
    dhiddenWeight: Maybe,
    dhiddenBias: Maybe,
    dhidden: Tensor,
    dalpha: Tensor,
    hidden: Tensor,
    alpha: Tensor,
    query: Tensor,
    context: Tensor,
    gate: Tensor,
    gates: Tensor,
    cells: Tensor,
    x: Tensor,
    memory: Tensor,
    keys: Tensor,
    h0: Tensor,
    c0: Tensor,
    decoderWeight: Tensor,
    scoreWeight: Tensor,
    gateWeight: Tensor,
    inputWeight: Tensor,
    hiddenWeight: Tensor,
    offsets: Tensor,
    rowsPerKey: number,
    longest: number,
  ): void
  attendingLstmPack(
    packed: Tensor,
    decoderWeight: Tensor,
    gateWeight: Tensor,
    inputWeight: Tensor,
    hiddenWeight: Tensor,
  ): void
  attendingLstmStep(
    hidden: Tensor,
    states: Tensor,
    cells: Tensor,
    x: Tensor,
    memory: Tensor,
    keys: Tensor,
    h0: Tensor,
    c0: Tensor,
    packed: Maybe,
    decoderWeight: Tensor,
    decoderBias: Tensor,
    scoreWeight: Tensor,
    gateWeight: Tensor,
    gateBias: Tensor,
    inputWeight: Tensor,
    inputBias: Tensor,
    hiddenWeight: Tensor,
    hiddenBias: Tensor,
    ancestors: Maybe,
    rowsPerKey: number,
    position: number,
  ): void
  attentionPenalty(
    out: Tensor,
    sums: Tensor,
    factor: Tensor,
    alpha: Tensor,
    offsets: Tensor,
    targets: Tensor,
    denominator: Tensor,
    ignoreIndex: number,
    scale: number,
  ): void
  attentionPenaltyBackward(
    dalpha: Tensor,
    dout: Tensor,
    sums: Tensor,
    factor: Tensor,
    offsets: Tensor,
    targets: Tensor,
    ignoreIndex: number,
  ): void
  linearCrossEntropy(
    loss: Maybe,
    tokenLoss: Maybe,
    rank: Maybe,
    dx: Maybe,
    dweight: Maybe,
    dbias: Maybe,
    x: Tensor,
    weight: Tensor,
    bias: Maybe,
    targets: Tensor,
    tokenWeights: Maybe,
    denominator: Maybe,
    ignoreIndex: number,
    labelSmoothing: number,
  ): void
  gradientNorm(norm: Tensor, grad: Tensor): void
  advanceStep(state: Tensor, norm: Tensor): void
  optimizerStep(
    weight: Tensor,
    halfWeight: Maybe,
    m: Tensor,
    v: Maybe,
    grad: Tensor,
    norm: Tensor,
    state: Tensor,
    rule: number,
    decoupled: boolean,
    rectify: boolean,
    learningRateScale: number,
    beta1: number,
    beta2: number,
    epsilon: number,
    weightDecay: number,
    clipNorm: number,
    clipValue: number,
  ): void
  averageWeights(average: Tensor, weight: Tensor, state: Tensor, decay: number): void
  adjustLogits(
    logits: Tensor,
    sequences: Tensor,
    forced: Maybe,
    position: number,
    repetitionPenalty: number,
    repetitionWindow: number,
    frequencyPenalty: number,
    frequencyWindow: number,
    noRepeat: number,
  ): void
  beamStep(
    scores: Tensor,
    tokens: Tensor,
    sequences: Tensor,
    ancestors: Tensor,
    finishedScores: Tensor,
    finishedSequences: Tensor,
    finishedLengths: Tensor,
    done: Tensor,
    logits: Tensor,
    forbidden: Maybe,
    beams: number,
    position: number,
    endToken: number,
    minTokens: number,
    lengthPenalty: number,
  ): void
  sampleStep(
    tokens: Tensor,
    sequences: Tensor,
    scores: Tensor,
    lengths: Tensor,
    done: Tensor,
    logits: Tensor,
    seeds: Tensor,
    forbidden: Maybe,
    position: number,
    endToken: number,
    minTokens: number,
    temperature: number,
    topK: number,
    topP: number,
    typicalP: number,
    mostTypical: number,
  ): void
}

/** The kernels' codes of activations. */
export const activations = { none: 0, relu: 1, relu6: 2, gelu: 3, silu: 4 } as const
export type Activation = keyof typeof activations
