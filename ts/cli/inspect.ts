/** `captioneer inspect`: what a preset or a trained model is made of. Counting is models/params.ts and flops.ts. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { ArgumentError, nearest, printable } from '../errors.js'
import type { CaptionModel } from '../models/model.js'
import type { ParamSpec } from '../models/params.js'
import { presetNames } from '../models/presets.js'
import { bytesText, metric, table, thousands } from './format.js'
import { jsonFlags, wholeNumber } from './options.js'
import { print, printJson } from './terminal.js'

/** Words of a model that no data have been seen for. */
const ASSUMED_VOCABULARY = 10_000
const FLOAT_BYTES = 4

interface InspectFlags {
  readonly vocabulary?: number
  readonly json?: true
}

/** A part of a model, and what it costs. */
interface Layer {
  readonly name: string
  readonly parameters: number
  /** Operations for one image: of the encoder and of the image's part of the decoder. */
  readonly flopsPerImage: number
  /** Operations for each token of a caption. */
  readonly flopsPerToken: number
}

interface Inspection {
  readonly name: string
  readonly vocabulary: number
  readonly imageSize: number
  /** Learned numbers of the encoder, without a classifier. */
  readonly encoder: number
  /** As torchvision counts a model of this name: the classifier included. */
  readonly encoderWithClassifier: number
  readonly decoder: number
  readonly total: number
  /** Of these, what the settings train. */
  readonly trainable: number
  /** Of the weights in float32, running statistics included. */
  readonly bytes: number
  readonly flopsPerImage: number
  readonly flopsPerToken: number
  readonly layers: readonly Layer[]
}

export function addInspectCommand(program: Command): void {
  program
    .command('inspect')
    .summary('show the layers and counts of a preset or model')
    .description(
      'Show what a model is made of: layers, parameters, operations (convolutions and linear layers; a ' +
        'multiply-add is two) and bytes of weights. Of a preset, config keys can be changed as in "captioneer train".',
    )
    .argument('<model>', `a preset (${presetNames.join(', ')}) or a model folder`)
    .option(
      '--vocabulary <n>',
      `token ids of a preset's decoder (default: ${ASSUMED_VOCABULARY})`,
      wholeNumber(5, 10_000_000),
    )
    .option(...jsonFlags)
    .addHelpText('after', help)
    .allowUnknownOption()
    .allowExcessArguments()
    .action(async (what: string, flags: InspectFlags, command: Command) => {
      const inspection = await inspect(what, flags, command)
      if (flags.json) printJson(inspection)
      else print(report(inspection))
    })
}

const help = `
Examples:
  captioneer inspect mobilenetv2-transformer --vocabulary 3000
  captioneer inspect tiny --model.decoder.layers=6 --json
  captioneer inspect ./runs/first
`

async function inspect(what: string, flags: InspectFlags, command: Command): Promise<Inspection> {
  const { configFlags } = await import('./config-flags.js')
  const settings = configFlags(command, command.args.slice(1))
  const preset = presetNames.find((name) => name === what)
  if (preset === undefined && existsSync(what)) {
    if (flags.vocabulary !== undefined || Object.keys(settings).length > 0) {
      throw new ArgumentError(`inspect: ${what} is a model with settings of its own; change none`)
    }
    return inspectFolder(what)
  }
  if (preset === undefined) throw unknownModel(what)
  const { resolveConfig } = await import('../train/resolve-config.js')
  const { buildModel } = await import('../models/model.js')
  const config = resolveConfig({ preset, overrides: { 'data.path': '.' }, flags: settings })
  const vocabulary = flags.vocabulary ?? ASSUMED_VOCABULARY
  const model = buildModel(config.model, vocabulary, config.image)
  return inspectModel(preset, model, config.freezeEncoder)
}

function unknownModel(what: string): ArgumentError {
  const near = nearest(what, presetNames)
  return new ArgumentError(
    `inspect: ${printable(what)} is neither a preset (${presetNames.join(', ')}) nor a model folder` +
      (near === undefined ? '' : `; did you mean ${near}?`),
  )
}

/** A model alone does not say what was trained; the settings of its run, where they lie beside it, do. */
async function inspectFolder(folder: string): Promise<Inspection> {
  const { readModelFolder } = await import('../models/model-folder.js')
  const { resolveConfig } = await import('../train/resolve-config.js')
  const { model } = await readModelFolder(folder)
  const file = join(folder, 'config.yaml')
  const freeze = existsSync(file) ? resolveConfig({ file }).freezeEncoder : false
  return inspectModel(folder, model, freeze)
}

async function inspectModel(
  name: string,
  model: CaptionModel,
  freeze: boolean | number,
): Promise<Inspection> {
  const { countFlops } = await import('../models/flops.js')
  const { frozenStages, isTrained, modelSpecs } = await import('../models/model.js')
  const { countParameters } = await import('../models/params.js')
  const specs = modelSpecs(model)
  const frozen = frozenStages(model, freeze)
  const trained = specs.filter(([key, spec]) => isTrained(model, key, spec, frozen))
  const flops = countFlops(model)
  const perImage = new Map([...flops.encoder, ...flops.memory])
  const encoder = countParameters(model.specs.encoder)
  return {
    name,
    vocabulary: model.vocabulary,
    imageSize: model.config.image.size,
    encoder,
    encoderWithClassifier: encoder + (model.image ? model.encoder.classifierParameters : 0),
    decoder: countParameters(model.specs.decoder),
    total: countParameters(model.specs),
    trainable: countParameters(Object.fromEntries(trained)),
    bytes: FLOAT_BYTES * sum(specs.map(([, { shape }]) => product(shape))),
    flopsPerImage: sum(perImage.values()),
    flopsPerToken: sum(flops.token.values()),
    layers: layersOf(model, specs, perImage, flops.token),
  }
}

function layersOf(
  model: CaptionModel,
  specs: readonly [name: string, spec: ParamSpec][],
  perImage: ReadonlyMap<string, number>,
  perToken: ReadonlyMap<string, number>,
): Layer[] {
  const names = [...new Set(specs.map(([key]) => layerName(model, key)))]
  return names.map((name) => {
    const keys = specs.filter(([key]) => layerName(model, key) === name)
    const learned = keys.filter(([, { role }]) => role === 'parameter')
    return {
      name,
      parameters: sum(learned.map(([, { shape }]) => product(shape))),
      flopsPerImage: sum(keys.map(([key]) => perImage.get(key) ?? 0)),
      flopsPerToken: sum(keys.map(([key]) => perToken.get(key) ?? 0)),
    }
  })
}

/** Stages of the encoder, which can be frozen one by one; blocks of the decoder. */
function layerName(model: CaptionModel, key: string): string {
  const [part = '', first = '', second = ''] = key.split('.')
  if (part === 'decoder')
    return first === 'layers' ? `decoder.layers.${second}` : `decoder.${first}`
  const inner = key.slice(part.length + 1)
  const stage = model.encoder.stages.find((prefixes) => prefixes.some((p) => inner.startsWith(p)))
  return `encoder.${(stage ?? []).map((prefix) => prefix.slice(0, -1)).join(' + ')}`
}

function report(inspection: Inspection): string {
  const { layers, encoder, encoderWithClassifier, decoder, total, trainable, bytes } = inspection
  const flops = (n: number) => (n === 0 ? '' : metric(n))
  return [
    `${inspection.name}: images of ${inspection.imageSize} x ${inspection.imageSize}, vocabulary ` +
      `${thousands(inspection.vocabulary)}`,
    table([
      ['layer', 'parameters', 'operations/image', 'operations/token'],
      ...layers.map((layer) => [
        layer.name,
        thousands(layer.parameters),
        flops(layer.flopsPerImage),
        flops(layer.flopsPerToken),
      ]),
      ['total', thousands(total), flops(inspection.flopsPerImage), flops(inspection.flopsPerToken)],
    ]),
    '',
    table([
      ['encoder', thousands(encoder)],
      ...(encoderWithClassifier > encoder
        ? [['  with its classifier', thousands(encoderWithClassifier)]]
        : []),
      ['decoder', thousands(decoder)],
      ['total', thousands(total)],
      ['trainable', thousands(trainable)],
      ['weights', bytesText(bytes)],
    ]),
  ].join('\n')
}

function product(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1)
}

function sum(values: Iterable<number>): number {
  let total = 0
  for (const value of values) total += value
  return total
}
