/** `captioneer convert`: what it writes where, and how it refuses. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { parse } from 'yaml'
import { readSafetensors } from '../../ts/files/safetensors.js'
import { modelSchema } from '../../ts/models/config.js'
import { buildEncoder } from '../../ts/models/encoders/build.js'
import { namedSpecs } from '../../ts/models/params.js'
import { storedShape } from '../../ts/models/stored.js'
import { packageRoot } from '../../ts/native.js'
import { checkpointOf } from '../files/pytorch/pickle-writer.js'
import { temporaryFolder } from '../files/temporary-folder.js'
import { weight } from '../fixtures/filler.js'
import { cli } from './run-cli.js'

const eirFiles = {
  'globals.yaml':
    'basic_experiment: { output_folder: runs/a, n_epochs: 3, batch_size: 64, dataloader_workers: 8 }\noptimization: { lr: 0.001, optimzer: adam }\n',
  'inputs.yaml':
    'input_info: { input_source: data/images, input_name: i, input_type: image }\nmodel_config: { model_type: resnet18 }\n',
  'fusion.yaml': 'model_type: pass-through\n',
  'output.yaml':
    'output_info: { output_source: data/captions.csv, output_name: c, output_type: sequence }\noutput_type_info: { max_length: 32 }\n',
}
const names = Object.keys(eirFiles)

test('convert eir: YAML on stdout, the rest on stderr; --out and --json', async (t) => {
  const cwd = await temporaryFolder(t)
  for (const [name, text] of Object.entries(eirFiles)) await writeFile(join(cwd, name), text)
  const plain = await cli(['convert', 'eir', ...names], { cwd })
  t.is(plain.code, 0, plain.stderr)
  const config = parse(plain.stdout)
  t.like(config, { preset: 'eir-resnet18', out: 'runs/a', data: { path: 'data' } })
  t.regex(plain.stderr, /^not taken over: globals\.yaml: basic_experiment\.dataloader_workers: /m)
  t.regex(
    plain.stderr,
    /^unknown key: globals\.yaml: optimization\.optimzer \(did you mean optimizer\?\)$/m,
  )
  const written = await cli(['convert', 'eir', ...names, '--out', 'config.yaml', '--json'], { cwd })
  t.is(written.code, 0)
  const document = JSON.parse(written.stdout)
  t.deepEqual(document.config, config)
  t.is(document.out, 'config.yaml')
  t.is(document.unknown.length, 1)
  t.deepEqual(parse(await readFile(join(cwd, 'config.yaml'), 'utf8')), config)
})

test('convert weights: a PyTorch checkpoint to safetensors', async (t) => {
  const cwd = await temporaryFolder(t)
  const { encoder, image } = modelSchema.parse({
    image: {},
    encoder: { name: 'tiny' },
    decoder: {},
  })
  const entries = [...namedSpecs(buildEncoder(encoder, image.size).specs)].map(([name, spec]) => {
    const shape = storedShape(spec)
    return [name, shape, weight(name, { shape })] as const
  })
  const extra = ['fc.bias', [1], new Float32Array([1])] as const
  await writeFile(join(cwd, 'a.pth'), checkpointOf([...entries, extra], 'weights'))
  const words = ['convert', 'weights', 'a.pth', '--encoder', 'tiny', '--out', 'a.safetensors']
  const said = await cli(words, { cwd })
  t.is(said.code, 0, said.stderr)
  t.regex(
    said.stdout,
    /^\d+ tensors \([\d,]+ numbers\) of tiny, from our own names, are in a\.safe/,
  )
  t.is(said.stderr, 'left out: fc.bias\n')
  const file = await readSafetensors(join(cwd, 'a.safetensors'))
  for (const [name, , values] of entries) t.deepEqual(file.float32(name), values, name)
  const { stdout } = await cli([...words, '--key', 'weights', '--json'], { cwd })
  t.like(JSON.parse(stdout), { encoder: 'tiny', tensors: entries.length, leftOut: ['fc.bias'] })
})

const module = join(packageRoot, 'tests/fixtures/pytorch/module.pth')
const out = ['--out', 'x.safetensors']
const refusals: [words: readonly string[], code: number, message: RegExp][] = [
  [
    ['weights', module, '--encoder', 'resnet18', ...out],
    1,
    /asks for "torch\.nn\.modules\..*torch\.save/,
  ],
  [['weights', module, '--encoder', 'resnet19', ...out], 2, /Did you mean resnet18\?/],
  [['weights', 'no.pth', '--encoder', 'resnet18', ...out], 1, /reading no\.pth: no such file/],
  [
    ['sat', module],
    1,
    /whole Python objects.*where you trust the file, take its weights out once/is,
  ],
  [['eir', 'a', 'b', 'c'], 2, /missing required argument 'output'/],
  [['eir', 'a', 'b', 'c', 'd'], 2, /reading a: no such file/],
  [['ier'], 2, /unknown command 'ier'.*Did you mean eir\?/],
]

for (const [words, code, message] of refusals) {
  test(`convert ${words.map((word) => word.replace(/.*\//, '')).join(' ')}`, async (t) => {
    const result = await cli(['convert', ...words], { cwd: await temporaryFolder(t) })
    t.is(result.code, code)
    t.is(result.stdout, '')
    t.regex(result.stderr, /^error: /)
    t.regex(result.stderr, message)
  })
}

for (const command of ['eir', 'weights', 'sat']) {
  test(`convert ${command} --help`, async (t) => {
    const { code, stdout } = await cli(['convert', command, '--help'])
    t.is(code, 0)
    t.regex(stdout, new RegExp(`Examples:\n +captioneer convert ${command}`))
    t.regex(stdout, /--json/)
  })
}
