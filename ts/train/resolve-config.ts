/**
 * Presets, YAML files, overrides and flags to one training config, checked here, at the door: the code
 * behind it trusts it. The keys are in config.ts.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { ArgumentError, argumentError } from '../errors.js'
import { systemReason } from '../files/system-error.js'
import type { ModelConfig } from '../models/config.js'
import { presetNames, presets } from '../models/presets.js'
import { build, flatten, fromText, merge, type Settings } from '../schema.js'
import { defaultPreset, type TrainConfig, trainSchema } from './config.js'
import { metricOf } from './metric.js'

/** Where settings come from; later ones win: defaults, preset, the model of `init`, file, overrides, flags. */
export interface ConfigSources {
  readonly preset?: string | undefined
  /** YAML file with the keys of TrainConfig. */
  readonly file?: string | undefined
  /** Values by dotted key or nested, `{ 'optimizer.learningRate': 1e-3, data: { seed: 1 } }`. */
  readonly overrides?: Readonly<Record<string, unknown>> | undefined
  /** Values as text by dotted key, as on a command line. */
  readonly flags?: Readonly<Record<string, string>> | undefined
}

/**
 * The config of a run. A value of null takes a key or section back to its default.
 *
 * @throws ArgumentError naming the key for an unknown key (with the nearest name), a wrong type, a value
 *   out of range, values that do not fit together, and for a file that is not there or not such YAML
 */
export function resolveConfig(sources: ConfigSources): TrainConfig {
  const config = build(trainSchema, layered(sources))
  checkTogether(config)
  const memoryHeads = sources.flags?.['model.decoder.memoryHeads']
  if (memoryHeads !== undefined && config.model.decoder.memory !== 'block') {
    throw argumentError(
      'config',
      'model.decoder.memoryHeads (--enc_heads)',
      'left out where model.decoder.memory is not "block", as the presets efficientnetb1-transformer-* have it',
      memoryHeads,
    )
  }
  return config
}

/** The model of `resolveConfig` for users without data, such as `inspect`; throws alike. */
export function resolveModel(sources: ConfigSources): ModelConfig {
  const overrides = { ...sources.overrides, 'data.path': '.' }
  return resolveConfig({ ...sources, overrides }).model
}

function layered({ preset, file, overrides = {}, flags = {} }: ConfigSources): Settings {
  const fromFlags = Object.entries(flags).map(([key, given]) => [
    key,
    fromText(trainSchema, key, given, parseText),
  ])
  const given = [
    file === undefined ? new Map() : flatten(trainSchema, readYaml(file), file),
    flatten(trainSchema, { preset }, 'config'),
    flatten(trainSchema, overrides, 'config'),
    flatten(trainSchema, Object.fromEntries(fromFlags), 'config'),
  ]
  const merged = merge(given)
  const name = merged.get('preset')?.value ?? defaultPreset
  const known = presetNames.find((valid) => valid === name)
  const init = merged.get('init')?.value
  const strict = merged.get('initStrict')?.value !== false
  return merge([
    flatten(trainSchema, known === undefined ? {} : presets[known], 'preset'),
    strict && typeof init === 'string' ? modelOf(init) : new Map(),
    ...given,
  ])
}

/** The settings of the model in a model folder. */
function modelOf(folder: string): Settings {
  const file = join(folder, 'config.json')
  const { model, image } = readYaml(file) as { model?: unknown; image?: unknown }
  return flatten(trainSchema, { model, image }, file)
}

function readYaml(file: string): object {
  let settings: unknown
  try {
    settings = parse(readFileSync(file, 'utf8'), { logLevel: 'error' })
  } catch (cause) {
    const reason = systemReason(cause) ?? `not valid YAML: ${(cause as Error).message}`
    throw new ArgumentError(`reading ${file}: ${reason}`, { cause })
  }
  if (typeof settings !== 'object' || settings === null || Array.isArray(settings)) {
    throw argumentError(`reading ${file}`, 'the file', 'a list of "key: value"', settings)
  }
  return settings
}

// What is no YAML stays text, and is refused as such by the key it was meant for.
function parseText(given: string): unknown {
  try {
    return parse(given, { logLevel: 'error' })
  } catch {
    return given
  }
}

function checkTogether(config: TrainConfig): void {
  const { name, dim, heads, headSize, positions } = config.model.decoder
  if (name !== 'lstm' && headSize === undefined && dim % heads !== 0) {
    throw argumentError(
      'config',
      'model.decoder.heads',
      `a divisor of model.decoder.dim (${dim})`,
      heads,
    )
  }
  if (positions === 'sinusoidal' && dim % 2 !== 0) {
    throw argumentError('config', 'model.decoder.dim', 'even with sinusoidal positions', dim)
  }
  if (config.cacheFeatures === true && config.freezeEncoder !== true) {
    throw argumentError(
      'config',
      'freezeEncoder',
      'true when cacheFeatures is true, as features of a changing encoder cannot be kept',
      config.freezeEncoder,
    )
  }
  if (config.selfCritical && config.init === undefined) {
    throw argumentError(
      'config',
      'init',
      'a model folder when selfCritical is given, as captions of an untrained model earn no rewards',
      config.init,
    )
  }
  if (metricOf(config) !== 'loss' && config.validation.captions === 0) {
    throw argumentError(
      'config',
      'validation.captions',
      `at least 1 when validations are compared by ${metricOf(config)}`,
      0,
    )
  }
}
