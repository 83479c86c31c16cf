/**
 * Every key of EIR's configs that bears on captioning, as keys of ours, or the reason why there is none. Reading the files
 * is eir-file.ts, putting it all together eir.ts.
 * Source of the keys and defaults: EIR 0.23, https://github.com/arnor-sigurdsson/EIR.
 */
import { argumentError } from '../errors.js'

/** What a key becomes. */
export interface Taken {
  /** Values by dotted key of TrainConfig. */
  readonly settings: Readonly<Record<string, unknown>>
  /** What of it does not become anything, and why. */
  readonly reason?: string
}

/** All values of a file by name, defaults filled in, for keys that depend on others. */
export type EirValues = ReadonlyMap<string, unknown>

/** @throws ArgumentError for a value that no captioner of ours can have */
export type Rule = (value: unknown, all: EirValues, place: string) => Taken

/** The keys of one file. */
export interface EirKeys {
  readonly rules: Readonly<Record<string, Rule>>
  /** Values of keys that a file leaves out and that count for us. */
  readonly defaults: Readonly<Record<string, unknown>>
}

const none: Taken = { settings: {} }

/** The same value under a key of ours; null is EIR's word for "not set". */
const as =
  (key: string): Rule =>
  (value) =>
    value === null ? none : { settings: { [key]: value } }

/** Nothing here, and why. */
const no =
  (reason: string): Rule =>
  () => ({ settings: {}, reason })

/** Nothing to say about values that change nothing; `no` for all others. */
const only =
  (neutral: readonly unknown[], reason: string): Rule =>
  (value) =>
    neutral.includes(value) ? none : { settings: {}, reason }

/** A word of EIR's as one of ours. */
const word =
  (key: string, words: Readonly<Record<string, unknown>>): Rule =>
  (value) => {
    const found = words[String(value)]
    if (found !== undefined) return { settings: { [key]: found } }
    return { settings: {}, reason: `${String(value)} is none of ${Object.keys(words).join(', ')}` }
  }

const noAttribution = only(
  [false, null, 0],
  'attention maps show where a caption looks (caption --attention)',
)
const attributionDetail = only(
  [false, null, 0, 1, 64, 256, 512, 'auto'],
  'there are no attributions',
)

/** globals.yaml. */
export const globalKeys: EirKeys = {
  defaults: {
    n_epochs: 10,
    batch_size: 64,
    valid_size: 0.1,
    lr: 1e-3,
    lr_lb: 0,
    optimizer: 'adam',
    b1: 0.9,
    b2: 0.999,
    wd: 1e-4,
    gradient_clipping: 1,
    lr_schedule: 'plateau',
    lr_plateau_patience: 10,
    lr_plateau_factor: 0.2,
    warmup_steps: 'auto',
    early_stopping_patience: 10,
    sample_interval: 200,
  },
  rules: {
    output_folder: as('out'),
    n_epochs: (value) => ({
      settings: { epochs: value },
      reason:
        'taken as passes over images with one caption each; an epoch of EIR sees every row: with k captions an image, epochs is k times as many',
    }),
    batch_size: as('batchSize'),
    valid_size: (value) =>
      Number.isInteger(value)
        ? {
            settings: { 'validation.images': value },
            reason:
              'a count is taken as validation.images; data.valFraction says how many are held out',
          }
        : { settings: { 'data.valFraction': value } },
    manual_valid_ids_file: only([null], 'splits are given by the data, in a column "split"'),
    dataloader_workers: no('pictures are decoded on all cores'),
    memory_dataset: no('decoded pictures are kept in memory up to data.cacheBytes'),
    device: word('device', { cpu: 'cpu', cuda: 'cuda', 'cuda:0': 'cuda', auto: 'auto' }),
    hardware: word('device', { cpu: 'cpu', gpu: 'cuda', cuda: 'cuda', auto: 'auto' }),
    devices: only([null, 1, 'auto'], 'one device trains'),
    num_nodes: only([null, 1], 'one machine trains'),
    strategy: only([null, 'auto'], 'one device trains'),
    gpu_num: only([null, '0', 0], 'the first GPU is used'),
    multi_gpu: only([false, null], 'one device trains'),
    precision: word('precision', {
      '32-true': 'float32',
      'bf16-mixed': 'bfloat16',
      'bf16-true': 'bfloat16',
    }),
    weighted_sampling_columns: only([null], 'every image comes equally often'),
    lr: as('optimizer.learningRate'),
    lr_lb: (value, all) => ({
      settings: { 'schedule.minFactor': Number(value) / Number(all.get('lr')) },
    }),
    find_lr: only([false, null], 'there is no search for a learning rate'),
    optimizer: (value) => {
      const settings = optimizers[String(value)]
      if (settings !== undefined) return { settings }
      const names = Object.keys(optimizers).join(', ')
      return { settings: {}, reason: `${String(value)} is none of ${names}` }
    },
    b1: as('optimizer.beta1'),
    b2: as('optimizer.beta2'),
    wd: as('optimizer.weightDecay'),
    gradient_clipping: as('optimizer.clipNorm'),
    gradient_accumulation_steps: as('accumulate'),
    gradient_noise: only([null, 0], 'gradients get no noise'),
    lr_schedule: word('schedule.name', { plateau: 'plateau', cosine: 'cosine', same: 'constant' }),
    lr_plateau_patience: as('schedule.patience'),
    lr_plateau_factor: as('schedule.factor'),
    warmup_steps: (value, all) => ({ settings: { 'schedule.warmupSteps': warmup(value, all) } }),
    early_stopping_patience: as('earlyStopping.patience'),
    early_stopping_buffer: only([null], 'early stopping counts from the first validation on'),
    sample_interval: as('validation.every'),
    checkpoint_interval: as('checkpoint.every'),
    n_saved_models: only(
      [1],
      'the best model is kept, and the newest checkpoints (checkpoint.keep)',
    ),
    save_evaluation_sample_results: only([true, null], 'report.html shows captions'),
    mixing_alpha: only([0, null], 'images are not mixed, as their captions cannot be'),
    plot_skip_steps: no('report.html shows every step'),
    no_pbar: only([false, null], 'without a terminal there is no progress bar'),
    compute_attributions: noAttribution,
    get_acts: noAttribution,
    max_attributions_per_class: attributionDetail,
    attributions_every_sample_factor: attributionDetail,
    attribution_background_samples: attributionDetail,
    compile_model: only([false, null], 'steps are recorded and replayed in any case'),
    pretrained_checkpoint: only(
      [null],
      "EIR's models cannot be read; init takes a model folder of ours",
    ),
    strict_pretrained_loading: only([true, null], 'init takes a model folder of ours'),
    n_iter_before_swa: only([null], 'the average of weights is moving here: ema'),
    debug: only([false, null], 'CAPTIONEER_DEBUG=1 shows where errors come from'),
  },
}

const plain = { 'optimizer.epsilon': 1e-8, 'optimizer.rectify': false }

/** Both of EIR's AdaBeliefs are those of adabelief-pytorch 0.2 with its defaults, whose decay is decoupled. */
const adabelief = {
  'optimizer.name': 'adabeliefw',
  'optimizer.epsilon': 1e-16,
  'optimizer.rectify': true,
}

const optimizers: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  adam: { 'optimizer.name': 'adam', ...plain },
  adamw: { 'optimizer.name': 'adamw', ...plain },
  adabelief,
  adabeliefw: adabelief,
  sgdm: { 'optimizer.name': 'sgdm', ...plain },
}

/** Automatic warm-up of EIR's adaptive optimizers. Source: Ma and Yarats 2019, arXiv:1910.04209. */
function warmup(value: unknown, all: EirValues): unknown {
  if (value !== 'auto') return value ?? 0
  return all.get('optimizer') === 'sgdm' ? 2000 : Math.round(2 / (1 - Number(all.get('b2'))))
}

/** timm's names of the encoders that are there, and what belongs to their weights. */
const encoders: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  ...named('resnet18 resnet34 resnet50 resnet101 resnet152'),
  ...named('efficientnet_b0 efficientnet_b1 efficientnet_b2 efficientnet_b3'),
  tf_efficientnet_b0: tensorFlow('efficientnet_b0'),
  tf_efficientnet_b1: tensorFlow('efficientnet_b1'),
  tf_efficientnet_b2: tensorFlow('efficientnet_b2'),
  tf_efficientnet_b3: tensorFlow('efficientnet_b3'),
  mobilenetv2_100: { 'model.encoder.name': 'mobilenet_v2' },
  vit_base_patch16_224: { 'model.encoder.name': 'vit_b_16' },
  vit_small_patch16_224: { 'model.encoder.name': 'vit_s_16' },
}

function named(names: string) {
  return Object.fromEntries(names.split(' ').map((name) => [name, { 'model.encoder.name': name }]))
}

function tensorFlow(name: string) {
  return {
    'model.encoder.name': name,
    'model.encoder.padding': 'same',
    'model.encoder.normEpsilon': 1e-3,
  }
}

/** inputs.yaml. */
export const inputKeys: EirKeys = {
  defaults: { size: [64], auto_augment: true, freeze_pretrained_model: false },
  rules: {
    input_source: () => none, // eir.ts: together with output_source
    input_name: no('the one input is the image'),
    input_type: required('image', 'only images have captions here'),
    input_inner_key: only([null], 'a data set is a folder'),
    size: (value, _all, place) => {
      const sides = Array.isArray(value) ? value : [value]
      const [side] = sides
      if (sides.some((each) => each !== side))
        throw argumentError('convert eir', place, 'one size, as pictures are squares', value)
      return { settings: { 'model.image.size': side } }
    },
    auto_augment: only([false], 'there is no TrivialAugment; see data.flip and data.minCropArea'),
    resize_approach: (value) => {
      if (value === 'resize' || value === null)
        return { settings: { 'model.image.resize': 'squash' } }
      return {
        settings: { 'model.image.resize': 'crop' },
        reason:
          'taken as crop: the largest square in the middle, with data.minCropArea a random part of it',
      }
    },
    mode: only([null, 'RGB'], 'every picture becomes RGB'),
    num_channels: only([null, 3], 'every picture becomes RGB'),
    mean_normalization_values: as('model.image.mean'),
    stds_normalization_values: as('model.image.std'),
    mixing_subtype: only([null, 'mixup'], 'images are not mixed'),
    modality_dropout_rate: only([null, 0], 'the image is always seen'),
    model_type: (value, _all, place) => {
      const found = encoders[String(value).replace(/\..*$/, '')]
      if (found !== undefined) return { settings: found }
      const names = Object.keys(encoders).join(', ')
      throw argumentError('convert eir', place, `one of ${names}`, value)
    },
    model_init_config: only([null], 'an encoder is as published'),
    pretrained_model: only(
      [false, null],
      'give its weights with --encoder-weights FILE; see captioneer convert weights --help',
    ),
    freeze_pretrained_model: as('freezeEncoder'),
    num_output_features: no('the decoder looks at the map of the encoder itself'),
    model_path: no("EIR's models cannot be read"),
    load_module_name: no("EIR's models cannot be read"),
    interpretation_sampling_strategy: no('there are no attributions'),
    num_samples_to_interpret: no('there are no attributions'),
    manual_samples_to_interpret: no('there are no attributions'),
  },
}

/** fusion.yaml. */
export const fusionKeys: EirKeys = {
  defaults: {},
  rules: {
    model_type: only(
      ['pass-through'],
      'a caption is fused with the image inside the decoder, whatever else the model does',
    ),
  },
}

/** output.yaml. */
export const outputKeys: EirKeys = {
  defaults: {
    max_length: 'average',
    sampling_strategy_if_longer: 'uniform',
    min_freq: 10,
    split_on: ' ',
    tokenizer: null,
    embedding_dim: 64,
    position_dropout: 0.1,
    num_layers: 2,
    num_heads: 8,
    dim_feedforward: 'auto',
    dropout: 0.1,
    n_eval_inputs: 10,
    generated_sequence_length: 64,
    temperature: 0.7,
    top_k: 20,
    top_p: 0.9,
    tau: 0.95,
    repetition_penalty: 1.1,
    repetition_penalty_max_window: 64,
    frequency_penalty: 0.1,
    frequency_penalty_max_window: 128,
  },
  rules: {
    output_source: () => none, // eir.ts: together with input_source
    output_name: no('the one output is the caption'),
    output_type: required('sequence', 'only sequences are captions'),
    sequence_operation: required('autoregressive', 'captions are made word by word'),
    max_length: (value) =>
      Number.isInteger(value)
        ? { settings: { 'model.decoder.maxTokens': value } }
        : {
            settings: {},
            reason: `"${String(value)}" is not counted; set model.decoder.maxTokens`,
          },
    sampling_strategy_if_longer: only(
      ['from_start'],
      'of a caption that is too long the beginning is taken, or none of it (data.longCaptions)',
    ),
    min_freq: as('tokenizer.minCount'),
    split_on: (value, all) => {
      if (all.get('tokenizer') !== null || value === ' ') return none
      if ([...String(value)].length === 1 && typeof value === 'string')
        return { settings: { 'tokenizer.splitOn': value } }
      return { settings: {}, reason: 'words are split at one character' }
    },
    tokenizer: (value) => {
      if (value === null) return { settings: { 'tokenizer.normalization': 'whitespace' } }
      if (value === 'basic_english')
        return { settings: { 'tokenizer.normalization': 'basic-english' } }
      if (value === 'bpe')
        return { settings: { 'tokenizer.kind': 'byte-pair', 'tokenizer.normalization': 'ptb' } }
      return {
        settings: { 'tokenizer.normalization': 'ptb' },
        reason: `"${String(value)}" is not there; words are cut by our own rules, "ptb"`,
      }
    },
    tokenizer_language: only([null], 'rules are the same for every language'),
    adaptive_tokenizer_max_vocab_size: as('tokenizer.maxSize'),
    vocab_file: only([null], 'the vocabulary is made from the captions'),
    mixing_subtype: only([null, 'mixup'], 'captions are not mixed'),
    model_type: required('sequence', 'that is the module that writes captions'),
    embedding_dim: as('model.decoder.dim'),
    position: only(['encode'], 'positions are sinusoids and rotations'),
    position_dropout: (value, all) =>
      value === all.get('dropout')
        ? none
        : { settings: {}, reason: 'one dropout is for all: that of model_init_config' },
    projection_layer_type: only(['auto', null], 'image and text are fused by attention'),
    num_layers: as('model.decoder.layers'),
    num_heads: as('model.decoder.heads'),
    dim_feedforward: (value, all) => ({
      settings: {
        'model.decoder.feedForward':
          value === 'auto' ? 4 * Number(all.get('embedding_dim')) : value,
      },
    }),
    dropout: (value) => ({
      settings: { 'model.decoder.dropout': value, 'model.decoder.attentionDropout': value },
    }),
    window_size: only([null, 0], 'attention reaches over the whole caption'),
    model_init_config: only([null], 'left out'),
    manual_inputs: (value) =>
      Array.isArray(value) && value.length > 0
        ? {
            settings: {},
            reason: 'validation shows pictures of the data; caption others with caption',
          }
        : none,
    n_eval_inputs: as('validation.samples'),
    generated_sequence_length: (value, all) => ({
      settings: { 'generation.maxTokens': longest(value, all.get('max_length')) },
    }),
    temperature: as('generation.temperature'),
    top_k: as('generation.topK'),
    top_p: as('generation.topP'),
    tau: as('generation.tau'),
    repetition_penalty: as('generation.repetitionPenalty'),
    repetition_penalty_max_window: as('generation.repetitionWindow'),
    frequency_penalty: as('generation.frequencyPenalty'),
    frequency_penalty_max_window: as('generation.frequencyWindow'),
  },
}

/** EIR slides its window over longer captions; here a caption ends where the model's positions do. */
function longest(value: unknown, maxLength: unknown): unknown {
  return Number.isInteger(maxLength) ? Math.min(Number(value), Number(maxLength)) : value
}

/** The only value that makes a captioner. */
function required(expected: string, why: string): Rule {
  return (value, _all, place) => {
    if (value !== expected)
      throw argumentError('convert eir', place, `"${expected}": ${why}`, value)
    return none
  }
}
