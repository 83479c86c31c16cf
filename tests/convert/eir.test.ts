/** EIR's configs become ours: every key of its captioning tutorial, its defaults, and what cannot be taken over. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { parse, stringify } from 'yaml'
import { convertEir, type EirFiles, eirYaml } from '../../ts/convert/eir.js'
import { ArgumentError } from '../../ts/errors.js'
import { resolveConfig } from '../../ts/train/resolve-config.js'
import { temporaryFolder } from '../files/temporary-folder.js'

type Yaml = Record<string, unknown>

/** The four files of the tutorial. */
const tutorial = {
  globals: {
    basic_experiment: {
      batch_size: 64,
      memory_dataset: false,
      n_epochs: 3,
      output_folder: 'runs/captioning',
      valid_size: 500,
      dataloader_workers: 8,
    },
    evaluation_checkpoint: { checkpoint_interval: 500, n_saved_models: 1, sample_interval: 500 },
    optimization: { lr: 0.001, optimizer: 'adabelief' },
  },
  inputs: {
    input_info: {
      input_source: 'tutorial/data/images',
      input_name: 'image_captioning',
      input_type: 'image',
    },
    input_type_info: { size: [64], auto_augment: true },
    model_config: { model_type: 'resnet18', pretrained_model: true },
  },
  fusion: { model_type: 'pass-through' },
  output: {
    output_info: {
      output_source: 'tutorial/data/captions.csv',
      output_name: 'captions',
      output_type: 'sequence',
    },
    output_type_info: {
      max_length: 32,
      split_on: ' ',
      sampling_strategy_if_longer: 'uniform',
      min_freq: 20,
    },
    model_config: { embedding_dim: 128, model_init_config: { num_layers: 6 } },
    sampling_config: { generated_sequence_length: 64, n_eval_inputs: 10 },
  },
} as const

/** The tutorial's files, each with keys of its sections replaced. */
async function filesWith(
  t: ExecutionContext,
  changes: { readonly [K in keyof EirFiles]?: Yaml | string } = {},
): Promise<EirFiles> {
  const folder = await temporaryFolder(t)
  const write = (name: keyof EirFiles) => {
    const path = join(folder, `${name}.yaml`)
    const change = changes[name] ?? {}
    const content = typeof change === 'string' ? change : stringify(merged(tutorial[name], change))
    writeFileSync(path, content)
    return path
  }
  return {
    globals: write('globals'),
    inputs: write('inputs'),
    fusion: write('fusion'),
    output: write('output'),
  }
}

function merged(base: Yaml, change: Yaml): Yaml {
  const pairs = Object.entries(change).map(([key, value]) => {
    const old = base[key]
    const isSection = typeof value === 'object' && value !== null && !Array.isArray(value)
    return [key, isSection ? merged((old ?? {}) as Yaml, value as Yaml) : value]
  })
  return { ...base, ...Object.fromEntries(pairs) }
}

test('the tutorial is the preset, but for its folders, epochs and samples', async (t) => {
  const conversion = convertEir(await filesWith(t))
  t.deepEqual(conversion.unknown, [])
  t.deepEqual(conversion.config, {
    preset: 'eir-resnet18',
    epochs: 3,
    out: 'runs/captioning',
    data: { path: 'tutorial/data' },
    validation: { samples: 10 },
  })
  const told = conversion.notTaken.map((line) => line.replace(/^.*\/(\w+)\.yaml: /, '$1 '))
  for (const key of [
    'globals basic_experiment.n_epochs: taken as passes over images',
    'globals basic_experiment.valid_size: a count is taken as validation.images',
    'globals basic_experiment.memory_dataset: ',
    'globals basic_experiment.dataloader_workers: ',
    'inputs input_info.input_name: ',
    'inputs input_type_info.auto_augment: there is no TrivialAugment',
    'inputs model_config.pretrained_model: give its weights with --encoder-weights',
    'output output_info.output_name: ',
    'output output_type_info.sampling_strategy_if_longer: ',
  ])
    t.true(
      told.some((line) => line.startsWith(key)),
      key,
    )
  t.is(told.length, 9)
})

test('the YAML is read by train --config', async (t) => {
  const conversion = convertEir(await filesWith(t))
  const file = join(await temporaryFolder(t), 'config.yaml')
  writeFileSync(file, eirYaml(conversion))
  t.deepEqual(parse(eirYaml(conversion)), conversion.config)
  const config = resolveConfig({ file })
  t.like(config, {
    preset: 'eir-resnet18',
    batchSize: 64,
    epochs: 3,
    optimizer: { name: 'adabeliefw', learningRate: 1e-3, weightDecay: 1e-4, clipNorm: 1 },
    model: {
      image: { size: 64 },
      encoder: { name: 'resnet18' },
      decoder: { name: 'eir', dim: 128, layers: 6, maxTokens: 32 },
    },
    tokenizer: { normalization: 'whitespace', minCount: 20 },
    generation: {
      maxTokens: 32,
      temperature: 0.7,
      topK: 20,
      topP: 0.9,
      tau: 0.95,
      repetitionPenalty: 1.1,
      repetitionWindow: 64,
      frequencyPenalty: 0.1,
      frequencyWindow: 128,
    },
  })
})

test('every key with a counterpart', async (t) => {
  const files = await filesWith(t, {
    globals: {
      basic_experiment: { batch_size: 32, n_epochs: 7, valid_size: 0.2, device: 'cuda:0' },
      evaluation_checkpoint: { checkpoint_interval: 100, sample_interval: 50 },
      optimization: {
        lr: 0.0005,
        lr_lb: 0.00005,
        optimizer: 'adamw',
        b1: 0.8,
        b2: 0.99,
        wd: 0.01,
        gradient_clipping: 0.5,
        gradient_accumulation_steps: 4,
      },
      lr_schedule: { lr_schedule: 'cosine', lr_plateau_patience: 4, lr_plateau_factor: 0.3 },
      training_control: { early_stopping_patience: 6 },
      accelerator: { precision: 'bf16-mixed' },
    },
    inputs: {
      input_type_info: {
        size: [224, 224],
        auto_augment: false,
        mean_normalization_values: [0.5, 0.4, 0.3],
        stds_normalization_values: [0.2, 0.2, 0.1],
      },
      model_config: {
        model_type: 'tf_efficientnet_b1.in1k',
        pretrained_model: false,
        freeze_pretrained_model: true,
      },
    },
    output: {
      output_info: { output_source: 'tutorial/captions.csv' },
      output_type_info: {
        max_length: 24,
        split_on: '|',
        min_freq: 3,
        sampling_strategy_if_longer: 'from_start',
      },
      model_config: {
        embedding_dim: 64,
        position_dropout: 0.2,
        model_init_config: { num_layers: 2, num_heads: 4, dropout: 0.2 },
      },
      sampling_config: {
        generated_sequence_length: 20,
        n_eval_inputs: 3,
        temperature: 1,
        top_k: 5,
        top_p: 0.8,
        tau: 1,
        repetition_penalty: 1,
        repetition_penalty_max_window: 10,
        frequency_penalty: 0,
        frequency_penalty_max_window: 11,
      },
    },
  })
  const { config, notTaken, unknown } = convertEir(files)
  t.deepEqual(unknown, [])
  t.deepEqual(config, {
    preset: 'eir-resnet18',
    batchSize: 32,
    epochs: 7,
    device: 'cuda',
    precision: 'bfloat16',
    accumulate: 4,
    freezeEncoder: true,
    out: 'runs/captioning',
    earlyStopping: { patience: 6 },
    checkpoint: { every: 100 },
    validation: { every: 50, samples: 3 },
    data: { path: 'tutorial', valFraction: 0.2 },
    optimizer: {
      name: 'adamw',
      rectify: false,
      epsilon: 1e-8,
      learningRate: 0.0005,
      beta1: 0.8,
      beta2: 0.99,
      weightDecay: 0.01,
      clipNorm: 0.5,
    },
    schedule: { name: 'cosine', minFactor: 0.1, factor: 0.3, patience: 4, warmupSteps: 200 },
    tokenizer: { minCount: 3, splitOn: '|' },
    model: {
      image: { size: 224, mean: [0.5, 0.4, 0.3], std: [0.2, 0.2, 0.1] },
      encoder: { name: 'efficientnet_b1', padding: 'same', normEpsilon: 1e-3 },
      decoder: {
        dim: 64,
        layers: 2,
        heads: 4,
        feedForward: 256,
        dropout: 0.2,
        attentionDropout: 0.2,
        maxTokens: 24,
      },
    },
    generation: {
      maxTokens: 20,
      temperature: 1,
      topK: 5,
      topP: 0.8,
      tau: 1,
      repetitionPenalty: 1,
      repetitionWindow: 10,
      frequencyPenalty: 0,
      frequencyWindow: 11,
    },
  })
  t.false(notTaken.some((line) => /valid_size|auto_augment|pretrained_model|strategy/.test(line)))
})

test("keys that are left out have EIR's defaults, not the preset's", async (t) => {
  const files = await filesWith(t, {
    globals: 'basic_experiment:\n  output_folder: a\n',
    output:
      'output_info: { output_source: tutorial/data/captions.csv, output_name: c, output_type: sequence }\n',
  })
  const { config, notTaken } = convertEir(files)
  t.like(config, {
    epochs: 10,
    data: { path: 'tutorial/data' },
    optimizer: { name: 'adam', rectify: false, epsilon: 1e-8 },
    validation: { every: 200 },
    tokenizer: { minCount: 10 },
    model: { decoder: { dim: 64, layers: 2, feedForward: 256 } },
  })
  t.true(
    notTaken.some((line) => /max_length \(EIR's default, "average"\): "average" is not/.test(line)),
  )
})

test('older files without sections are read by the names of their keys', async (t) => {
  const files = await filesWith(t, {
    globals: 'output_folder: a\nlr: 0.01\noptimizer: sgdm\nb2: 0.9\n',
  })
  const { config } = convertEir(files)
  t.like(config, { out: 'a', optimizer: { name: 'sgdm', learningRate: 0.01, beta2: 0.9 } })
  t.false('schedule' in config, 'without an adaptive optimizer EIR warms up for 2000 steps')
})

test('unknown keys are named, with the nearest one', async (t) => {
  const files = await filesWith(t, {
    globals: { optimization: { lrr: 1 }, zzz: { qqqqqq: 1 } },
    inputs: { model_config: { __proto__x: 1 } },
  })
  const { unknown } = convertEir(files)
  t.deepEqual(unknown, [
    `${files.globals}: optimization.lrr (did you mean lr?)`,
    `${files.globals}: zzz.qqqqqq`,
    `${files.inputs}: model_config.__proto__x`,
  ])
})

test('what else cannot be taken over is told with its reason', async (t) => {
  const files = await filesWith(t, {
    globals: {
      optimization: { optimizer: 'adahessian', gradient_noise: 0.1 },
      lr_schedule: { lr_schedule: 'cycle' },
      training_control: { mixing_alpha: 0.2, weighted_sampling_columns: ['a'] },
      attribution_analysis: { compute_attributions: true },
      basic_experiment: { manual_valid_ids_file: 'ids.txt' },
      model: { pretrained_checkpoint: 'a.pt', n_iter_before_swa: 3 },
    },
    inputs: { input_type_info: { mode: 'L', resize_approach: 'randomcrop' } },
    fusion: { model_type: 'mlp-residual' },
    output: {
      output_type_info: { tokenizer: 'moses', vocab_file: 'v.json', max_length: 'max' },
      sampling_config: { manual_inputs: [{ image_captioning: 'a.jpg' }] },
    },
  })
  const told = convertEir(files).notTaken.join('\n')
  for (const key of [
    'optimizer: adahessian is none of adam, adamw',
    'gradient_noise: ',
    'lr_schedule: cycle is none of plateau, cosine, same',
    'mixing_alpha: ',
    'weighted_sampling_columns: ',
    'compute_attributions: attention maps show',
    'manual_valid_ids_file: ',
    'pretrained_checkpoint: ',
    'n_iter_before_swa: ',
    'mode: every picture becomes RGB',
    'resize_approach: taken as crop',
    'model_type: a caption is fused with the image inside the decoder',
    'tokenizer: "moses" is not there; words are cut by our own rules',
    'vocab_file: ',
    'max_length: "max" is not counted',
    'manual_inputs: ',
  ])
    t.true(told.includes(key), key)
})

test('BPE is our byte-pair tokenizer', async (t) => {
  const files = await filesWith(t, {
    output: {
      output_type_info: {
        tokenizer: 'bpe',
        split_on: null,
        adaptive_tokenizer_max_vocab_size: 500,
      },
    },
  })
  t.like(convertEir(files).config, {
    tokenizer: { kind: 'byte-pair', normalization: 'ptb', maxSize: 500 },
  })
})

const refusals: [what: string, changes: Parameters<typeof filesWith>[1], message: RegExp][] = [
  [
    'an encoder that is not there',
    { inputs: { model_config: { model_type: 'convnext_tiny' } } },
    /inputs\.yaml: model_config\.model_type to be one of resnet18, .* received "convnext_tiny"/,
  ],
  [
    'an input that is no image',
    { inputs: { input_info: { input_type: 'tabular' } } },
    /input_info\.input_type to be "image": only images have captions here, received "tabular"/,
  ],
  [
    'an output that is no text',
    { output: { output_info: { output_type: 'tabular' } } },
    /output_type to be "sequence"/,
  ],
  [
    'pictures that are no squares',
    { inputs: { input_type_info: { size: [64, 128] } } },
    /input_type_info\.size to be one size, as pictures are squares, received \[64,128\]/,
  ],
  [
    'a value out of range',
    { globals: { optimization: { lr: -1 } } },
    /optimizer\.learningRate to be a number above 0, at most 10, received -1/,
  ],
  [
    'no captions',
    { output: { output_info: { output_source: null } } },
    /output\.yaml: output_source to be a path, received null/,
  ],
  ['a list', { fusion: '- a\n' }, /fusion\.yaml: expected the file to be a list of "key: value"/],
  ['no YAML', { globals: 'a: [1' }, /globals\.yaml: not valid YAML/],
]

for (const [what, changes, message] of refusals) {
  test(`refused: ${what}`, async (t) => {
    const files = await filesWith(t, changes)
    t.throws(() => convertEir(files), { instanceOf: ArgumentError, message })
  })
}

test('a file that is not there is named', async (t) => {
  const files = await filesWith(t)
  t.throws(() => convertEir({ ...files, fusion: 'no.yaml' }), {
    instanceOf: ArgumentError,
    message: /^reading no\.yaml: no such file/,
  })
})
