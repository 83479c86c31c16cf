/** `captioneer convert`: other systems' configs and weights to ours. The work is in convert/. */
import type { Command } from 'commander'
import { encoderNames } from '../models/config.js'
import { thousands } from './format.js'
import { jsonFlags, oneOf } from './options.js'
import { note, print, printJson } from './terminal.js'

interface EirFlags {
  readonly out?: string
  readonly json?: true
}

interface WeightsFlags {
  readonly encoder: (typeof encoderNames)[number]
  readonly out: string
  readonly key?: string
  readonly json?: true
}

export function addConvertCommand(program: Command): void {
  const convert = program
    .command('convert')
    .summary("other systems' configs and weights to ours")
    .description('Turn the configs and weights of other systems into files of captioneer.')
    .addHelpText('after', help)
  convert
    .command('eir')
    .summary("EIR's four YAML files to a config")
    .description(
      "Turn the YAML files of an EIR image captioning run into a config for train --config. Keys that have no counterpart are listed on stderr, each with the reason; EIR's defaults count for keys that are left out.",
    )
    .argument('<globals>', 'globals.yaml')
    .argument('<inputs>', 'inputs.yaml, of one image input')
    .argument('<fusion>', 'fusion.yaml')
    .argument('<output>', 'output.yaml, of one sequence output')
    .option('--out <file>', 'write the config here (default: stdout)')
    .option(...jsonFlags)
    .addHelpText('after', eirHelp)
    .action(eir)
  convert
    .command('weights')
    .summary('pretrained weights of an encoder to safetensors')
    .description(
      'Turn published weights of an encoder, .safetensors or PyTorch .pth, .pt, .bin, with the names of torchvision, timm or Hugging Face, into a safetensors file with the names of torchvision and no classifier. Nothing in a PyTorch file is executed. train --encoder-weights takes the same files directly.',
    )
    .argument('<file>', 'the published file')
    .requiredOption('--encoder <name>', `one of ${encoderNames.join(', ')}`, oneOf(encoderNames))
    .requiredOption('--out <file>', 'the safetensors file to write')
    .option('--key <key>', 'which state dict of a checkpoint with several: state_dict, model.ema')
    .option(...jsonFlags)
    .addHelpText('after', weightsHelp)
    .action(weights)
  convert
    .command('sat')
    .summary('why Show, Attend and Tell checkpoints must be saved again')
    .description(
      "Checkpoints of sgrvinod's Show, Attend and Tell tutorial are whole Python objects, which are never read. This says what to do with one.",
    )
    .argument('<file>', 'the checkpoint')
    .option(...jsonFlags)
    .addHelpText('after', satHelp)
    .action(async (file: string) => {
      const { refuseSat } = await import('../convert/sat.js')
      await refuseSat(file)
    })
}

const eirHelp = `
Examples:
  captioneer convert eir globals.yaml inputs.yaml fusion.yaml output.yaml --out config.yaml
  captioneer train --config config.yaml --encoder-weights resnet18.safetensors
`

const weightsHelp = `
Examples:
  captioneer convert weights resnet50-11ad3fa6.pth --encoder resnet50 --out resnet50.safetensors
  captioneer convert weights checkpoint.pth --key state_dict --encoder vit_b_16 --out vit.safetensors
`

const satHelp = `
Examples:
  captioneer convert sat BEST_checkpoint_coco_5_cap_per_img_5_min_word_freq.pth.tar
`

const help = `
Examples:
  captioneer convert eir globals.yaml inputs.yaml fusion.yaml output.yaml --out config.yaml
  captioneer convert weights resnet50-11ad3fa6.pth --encoder resnet50 --out resnet50.safetensors

Each has --json, and its own --help. The flags of the Keras captioner's train_model.py (--embed_dim, --enc_heads and
seven more) need no conversion: train understands them.
`

async function eir(
  globals: string,
  inputs: string,
  fusion: string,
  output: string,
  { out, json }: EirFlags,
): Promise<void> {
  const { convertEir, eirYaml } = await import('../convert/eir.js')
  const conversion = convertEir({ globals, inputs, fusion, output })
  const yaml = eirYaml(conversion)
  if (out !== undefined) {
    const { writeAtomic } = await import('../files/atomic.js')
    await writeAtomic(out, async (file) => {
      await file.writeFile(yaml)
    })
  }
  for (const line of conversion.notTaken) note(`not taken over: ${line}`)
  for (const line of conversion.unknown) note(`unknown key: ${line}`)
  if (json) printJson({ ...conversion, ...(out === undefined ? {} : { out }) })
  else if (out === undefined) process.stdout.write(yaml)
  else print(`The config is in ${out}. Train with: captioneer train --config ${out}`)
}

async function weights(path: string, { encoder, out, key, json }: WeightsFlags): Promise<void> {
  const { convertWeights } = await import('../convert/weights.js')
  const { modelSchema } = await import('../models/config.js')
  const { buildEncoder } = await import('../models/encoders/build.js')
  const { image, encoder: config } = modelSchema.parse({
    image: {},
    encoder: { name: encoder },
    decoder: {},
  })
  const result = await convertWeights(path, buildEncoder(config, image.size), out, key)
  if (json) {
    printJson(result)
    return
  }
  const names = result.library === 'unknown' ? 'our own names' : `the names of ${result.library}`
  print(
    `${thousands(result.tensors)} tensors (${thousands(result.numbers)} numbers) of ${result.encoder}, from ${names}, are in ${out}.`,
  )
  if (result.leftOut.length > 0) note(`left out: ${result.leftOut.join(', ')}`)
}
