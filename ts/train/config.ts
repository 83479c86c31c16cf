/**
 * The training config: every key with its meaning, range and default. How presets, YAML files and flags
 * become one is in resolve-config.ts.
 */
import { stringify } from 'yaml'
import { z } from 'zod'
import { decodingRanges } from '../decoding/generation.js'
import { modelSchema } from '../models/config.js'
import { precisions } from '../models/precision.js'
import { type PresetName, presetNames } from '../models/presets.js'
import { above, belowOne, flag, fromTo, integer, oneOf, text } from '../schema.js'
import { normalizations } from '../tokenizer/normalize.js'
import { trackerNames } from './trackers/tracker.js'

/** The preset of runs that name none. */
export const defaultPreset: PresetName = 'mobilenetv2-transformer'

const tokenizer = z.strictObject({
  kind: oneOf(['word', 'byte-pair']).default('word'),
  /** Words: how text is cut into them; docs/tokenizer.md. */
  normalization: oneOf(normalizations).default('ptb'),
  /** Words: the character between two of them, with `normalization` "whitespace". */
  splitOn: z.string().regex(/^.$/su).describe('one character').default(' '),
  /** Words: delete . , ? / " ' ; ` and lower-case first. */
  clean: flag().default(false),
  /** Words seen fewer times become the unknown word. */
  minCount: integer(1, 1_000_000).default(5),
  /** Largest vocabulary, special tokens included. */
  maxSize: integer(16, 1_000_000).default(30_000),
})

const data = z.strictObject({
  /** Folder or file with images and captions. */
  path: text('the path of a data set'),
  /** Seed of the split and of the order of images. */
  seed: integer(0, 2 ** 32 - 1).default(0),
  /** Share of the images held out for validation where the data names no split. */
  valFraction: above(0, 0.5).default(0.1),
  /** Captions of an image in one step; they share one pass of the encoder. */
  captionsPerImage: z
    .union([z.literal('all'), integer(1, 100)])
    .describe('"all" or an integer from 1 to 100')
    .default('all'),
  /** Captions with more words than the model has positions for are cut, or left out where the image has others. */
  longCaptions: oneOf(['cut', 'drop']).default('cut'),
  /** Mirror half of the training images; wrong for captions that say left and right. */
  flip: flag().default(false),
  /** Smallest share of an image's area that a random training crop keeps; 1 = no cropping. */
  minCropArea: above(0, 1).default(1),
  /** Memory for decoded images, bytes. */
  cacheBytes: integer(0, 2 ** 50).default(2 ** 31),
})

const optimizer = z.strictObject({
  /** The w stands for weight decay that is decoupled from the gradient; the others add it to the gradient. */
  name: oneOf(['adamw', 'adam', 'adabeliefw', 'adabelief', 'sgdm']).default('adamw'),
  /** Peak of the schedule. */
  learningRate: above(0, 10).default(1e-3),
  /** Peak for the encoder; `learningRate` when left out. */
  encoderLearningRate: above(0, 10).optional(),
  /** Of weight matrices and kernels; biases, norms and embeddings have none. */
  weightDecay: fromTo(0, 1).default(0.01),
  /** Whether embeddings and positions, which are matrices too, have it after all. */
  decayEmbeddings: flag().default(false),
  beta1: belowOne().default(0.9),
  beta2: belowOne().default(0.999),
  epsilon: fromTo(1e-30, 0.1).default(1e-8),
  /** Of `sgdm`. */
  momentum: belowOne().default(0.9),
  /** Smaller steps while the second moment is uncertain, as RAdam takes them; not of `sgdm`. */
  rectify: flag().default(false),
  /** Largest norm of all gradients together; 0 = no clipping. */
  clipNorm: fromTo(0, 1e6).default(1),
  /** Largest size of each element of the gradients, after that; 0 = no clipping. */
  clipValue: fromTo(0, 1e6).default(0),
  labelSmoothing: belowOne().default(0.1),
})

const schedule = z.strictObject({
  name: oneOf(['cosine', 'constant', 'plateau']).default('cosine'),
  /** Steps of linear rise from 0 to the peak. */
  warmupSteps: integer(0, 10_000_000).default(100),
  /** Lowest learning rate of `cosine` and `plateau`, as a share of the peak. */
  minFactor: fromTo(0, 1).default(0),
  /** `plateau`: the learning rate is multiplied by this ... */
  factor: z.number().gt(0).lt(1).describe('a number above 0, below 1').default(0.5),
  /** ... after this many validations without a better one. */
  patience: integer(1, 10_000).default(3),
})

const validation = z.strictObject({
  /** Steps between two validations, or one at the end of each epoch. */
  every: z
    .union([z.literal('epoch'), integer(1, 1_000_000_000)])
    .describe('"epoch" or an integer from 1 to 1000000000')
    .default('epoch'),
  /** Largest number of images validated on. */
  images: integer(1, 1_000_000_000).default(1000),
  /** Largest number of images captioned free-running, for BLEU and CIDEr. */
  captions: integer(0, 1_000_000_000).default(200),
  /**
   * What says which of two validations is better, for the model that is kept, `plateau` and early stopping: `loss` when
   * left out, `cider` in self-critical training.
   */
  metric: oneOf(['loss', 'bleu4', 'cider']).optional(),
  /** Captions shown after each validation. */
  samples: integer(0, 1000).default(4),
  /** Beam width of validation captions; 1 = greedy. */
  beam: integer(1, 64).default(3),
})

const earlyStopping = z.strictObject({
  /** Validations without a better one after which training stops. */
  patience: integer(1, 10_000),
})

const selfCritical = z.strictObject({
  /**
   * Whether captions are the best of a beam search, which are near those that the model will give, or drawn at random,
   * which asks for many more steps.
   */
  draw: oneOf(['beam', 'random']).default('beam'),
  /** Captions of each image; each is compared with the mean reward of the others. */
  samples: integer(2, 64).default(5),
  /** `random`: what logits are divided by before a word is drawn. */
  temperature: above(0, 10).default(1),
  /** Share of the loss that is the reward's; the rest is the cross-entropy of the image's captions. */
  weight: above(0, 1).default(1),
})

/** How the model decodes where a call says nothing else; what is left out has the default of generation.json. */
const generation = z.strictObject(decodingRanges).partial()

const checkpoint = z.strictObject({
  /** Steps between two checkpoints. */
  every: integer(1, 1_000_000_000).default(500),
  /** Newest checkpoints that stay. */
  keep: integer(1, 10_000).default(3),
})

/** Schema of TrainConfig. */
export const trainSchema = z
  .strictObject({
    preset: oneOf(presetNames).default(defaultPreset),
    model: modelSchema,
    tokenizer: tokenizer.readonly(),
    data: data.readonly(),
    /** Pretrained weights of the encoder: safetensors or a PyTorch checkpoint (docs/convert.md). */
    encoderWeights: text('the path of a file of weights').optional(),
    /** Model folder to start from: its weights and, with `initStrict`, its tokenizer and model settings. */
    init: text('the path of a model folder').optional(),
    /** Whether all of it must fit; false takes the tensors that do. */
    initStrict: flag().default(true),
    /** Whether the encoder stays as it is; a number freezes that many stages from the image on. */
    freezeEncoder: z
      .union([z.boolean(), integer(0, 100)])
      .describe('true, false or an integer from 0 to 100')
      .default(false),
    /** Whether the features of a frozen encoder are computed once and kept on disk. */
    cacheFeatures: z
      .union([z.literal('auto'), z.boolean()])
      .describe('"auto", true or false')
      .default('auto'),
    /** False trains the text-only baseline: the same decoder without an image. */
    image: flag().default(true),
    optimizer: optimizer.readonly(),
    schedule: schedule.readonly(),
    /** Trains for the CIDEr-D of sampled captions, from the model of `init`. */
    selfCritical: selfCritical.readonly().optional(),
    /** Decay of a moving average of the weights, which is validated and saved in their place; none when left out. */
    ema: belowOne().optional(),
    /** Images in one step of the device. */
    batchSize: integer(1, 65_536).default(32),
    /** Batches whose gradients are added up before each optimizer step. */
    accumulate: integer(1, 4096).default(1),
    epochs: integer(1, 1_000_000).default(20),
    maxSteps: integer(1, 1_000_000_000).optional(),
    /** Wall-clock limit of the training loop, seconds. */
    maxSeconds: above(0, 1e9).optional(),
    /** Seed of weights, dropout and sampled captions. */
    seed: integer(0, 2 ** 32 - 1).default(0),
    validation: validation.readonly(),
    earlyStopping: earlyStopping.readonly().optional(),
    /** Goes to generation.json of the model folder. */
    generation: generation.readonly().optional(),
    checkpoint: checkpoint.readonly(),
    device: oneOf(['auto', 'cpu', 'cuda']).default('auto'),
    /** What models compute in; sums, losses and the optimizer are float32. `auto`: bfloat16 on a GPU, float32 on the CPU. */
    precision: oneOf(precisions).default('auto'),
    /** Where else than to history.jsonl measurements go. */
    trackers: z
      .array(z.enum(trackerNames))
      .describe(`a list of ${trackerNames.map((name) => `"${name}"`).join(', ')}`)
      .default(['tensorboard']),
    /** Whether the run ends with a report.html, for which the best model captions validation images once more. */
    report: flag().default(true),
    /** The run folder. */
    out: text('the path of the run folder').default('./runs/latest'),
  })
  .readonly()

/** Everything that decides a training run, with every default filled in. */
export type TrainConfig = z.output<typeof trainSchema>

/** A TrainConfig of which any part may be left out. */
export type PartialConfig = PartialDeep<TrainConfig>

type PartialDeep<T> = T extends readonly unknown[]
  ? T
  : T extends object
    ? { readonly [K in keyof T]?: PartialDeep<T[K]> | undefined }
    : T

/** The config as YAML that `resolveConfig` reads back to an equal config. */
export function configToYaml(config: TrainConfig): string {
  return stringify(config)
}
