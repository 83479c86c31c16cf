/** The public API of captioneer, and nothing else. */
export {
  type Caption,
  type CaptionAllOptions,
  Captioner,
  type CaptionProgress,
  type CaptionResult,
  type CaptionStreamOptions,
  caption,
  loadCaptioner,
} from './captioner.js'
export type { DataProblem, SplitName } from './data/dataset.js'
export type { FeatureProgress } from './data/feature-cache.js'
export type { ImageInput } from './data/image.js'
export type { CaptionOptions } from './decoding/options.js'
export {
  ArgumentError,
  CaptioneerError,
  CheckpointError,
  DataError,
  DeviceError,
  DisposedError,
  DtypeError,
  ImageError,
  OutOfMemoryError,
  ShapeError,
} from './errors.js'
export type { BleuCounts } from './evaluate/bleu.js'
export type { Interval } from './evaluate/bootstrap.js'
export { type EvaluateOptions, type EvaluateResult, evaluate } from './evaluate/evaluate.js'
export type { FloorScores, Prediction } from './evaluate/judge.js'
export type { EvaluatePhase, EvaluateProgress } from './evaluate/measure.js'
export {
  type CaptionItem,
  type ImageScores,
  type ScoreOptions,
  type Scores,
  scoreCaptions,
} from './evaluate/score.js'
/** Layers: a spec (what it learns) and a forward over ops, each. */
export * as nn from './models/layers.js'
export { type FoldCache, inferenceMode, type Mode, trainingMode } from './models/mode.js'
export {
  countParameters,
  type Init,
  materialize,
  namedSpecs,
  namedTensors,
  type ParamSpec,
  type ParamsOf,
  type ParamTree,
  param,
  statistic,
} from './models/params.js'
export { type PresetName, presetNames } from './models/presets.js'
export type { CaptionAttention } from './models/word-attention.js'
export {
  type Device,
  type DeviceName,
  type MemoryFacts,
  openDevice,
  synchronize,
} from './native.js'
export { type OpName, ops } from './ops/registry.js'
export type { ReportedEvaluation } from './report/evaluation-file.js'
export type { Captioned, PictureOf } from './report/gallery.js'
export { type RunReportOptions, reportRun } from './report/run-report.js'
export { differentiate, Tape } from './tape.js'
export {
  type Dtype,
  empty,
  type HostArray,
  memory,
  Scope,
  type Shape,
  scope,
  Tensor,
  tensor,
  tensorScope,
  view,
  zeros,
} from './tensor.js'
export type { PartialConfig, TrainConfig } from './train/config.js'
export type {
  SampleCaption,
  StepProgress,
  TrainEvent,
  ValidationProgress,
} from './train/events.js'
export { type TrainOptions, type TrainResult, train } from './train/train.js'
