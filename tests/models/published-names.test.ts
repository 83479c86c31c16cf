/**
 * The names of timm and Hugging Face give torchvision's: all of them, each with its shape, nothing else. The lists are
 * those of the libraries themselves (tests/fixtures/make_encoder_names.py).
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { modelSchema } from '../../ts/models/config.js'
import { buildEncoder } from '../../ts/models/encoders/build.js'
import { namedSpecs } from '../../ts/models/params.js'
import { publishedNames } from '../../ts/models/published-names.js'
import { storedShape } from '../../ts/models/stored.js'
import { packageRoot } from '../../ts/native.js'

type Names = Record<string, number[]>

const fixture = join(packageRoot, 'tests/fixtures/encoder_names.json')
const encoders: Record<string, Record<string, Names>> = JSON.parse(await readFile(fixture, 'utf8'))

for (const [name, { torchvision = {} }] of Object.entries(encoders)) {
  test(`our ${name} has torchvision's tensors, all but the classifier's`, (t) => {
    const { encoder, image } = modelSchema.parse({ image: {}, encoder: { name }, decoder: {} })
    const specs = [...namedSpecs(buildEncoder(encoder, image.size).specs)]
    const ours = specs.map(([name, spec]) => [name, storedShape(spec)] as const)
    const theirs = Object.entries(torchvision).filter(([name]) => !isClassifier(name))
    t.deepEqual(Object.fromEntries(ours), Object.fromEntries(theirs))
  })
}

/** The names of transformers 4, in which Google's files on the Hub are. */
function oldNames(names: Names): Names {
  const rules: [RegExp, string][] = [
    [/^vit\.layers\.(\d+)\.attention\.([qkv])_proj/, 'vit.encoder.layer.$1.attention.attention.$2'],
    [/attention\.q\./, 'attention.query.'],
    [/attention\.k\./, 'attention.key.'],
    [/attention\.v\./, 'attention.value.'],
    [/^vit\.layers\.(\d+)\.attention\.o_proj/, 'vit.encoder.layer.$1.attention.output.dense'],
    [/^vit\.layers\.(\d+)\.mlp\.fc1/, 'vit.encoder.layer.$1.intermediate.dense'],
    [/^vit\.layers\.(\d+)\.mlp\.fc2/, 'vit.encoder.layer.$1.output.dense'],
    [/^vit\.layers\./, 'vit.encoder.layer.'],
  ]
  const rename = (name: string) => rules.reduce((text, rule) => text.replace(...rule), name)
  return Object.fromEntries(Object.entries(names).map(([name, shape]) => [rename(name), shape]))
}

const isClassifier = (name: string) => /^(fc|classifier|heads)\./.test(name)

function same(t: ExecutionContext, names: Names, torchvision: Names, library: string) {
  const found = publishedNames(Object.keys(names))
  t.is(found.library, library)
  const wanted = Object.keys(torchvision).filter((name) => !isClassifier(name))
  t.true(wanted.length > 90)
  const foundNames = [...found.origins.keys()].filter((name) => name in torchvision)
  t.deepEqual(foundNames.filter((name) => wanted.includes(name)).sort(), [...wanted].sort())
  for (const name of wanted) {
    const shapes = (found.origins.get(name) ?? []).map((origin) => names[origin] ?? [])
    const length = shapes.reduce((sum, [first = 1]) => sum + first, 0)
    const shape = shapes.length > 1 ? [length, ...(shapes[0] ?? []).slice(1)] : shapes[0]
    t.deepEqual(shape, torchvision[name], name)
  }
  const used = [...found.origins.values()].flat()
  t.is(new Set(used).size, used.length, 'no tensor has two places')
}

for (const [encoder, { torchvision = {}, ...others }] of Object.entries(encoders)) {
  for (const [library, names] of Object.entries({ torchvision, ...others })) {
    // The names of timm's ResNets are torchvision's.
    const told = library === 'timm' && encoder.startsWith('resnet') ? 'torchvision' : library
    test(`${encoder} of ${library}`, (t) => same(t, names, torchvision, told))
    test(`${encoder} of ${library}, wrapped, beside others`, (t) => {
      const wrapped = Object.entries(names).map(([name, shape]) => [`module.net.${name}`, shape])
      const found = publishedNames(['ema.decay', ...wrapped.map(([name]) => String(name))])
      const plain = publishedNames(Object.keys(names))
      const prefixed = [...plain.origins].map(
        ([name, origin]) => [name, origin.map((part) => `module.net.${part}`)] as const,
      )
      t.deepEqual([...found.origins], prefixed)
    })
  }
}

test('vit_b_16 of Hugging Face, as transformers 4 names it', (t) => {
  const { torchvision = {}, 'Hugging Face': names = {} } = encoders.vit_b_16 ?? {}
  const old = oldNames(names)
  t.true('vit.encoder.layer.11.attention.attention.value.bias' in old)
  same(t, old, torchvision, 'Hugging Face')
  const { origins } = publishedNames(Object.keys(old))
  const joined = 'encoder.layers.encoder_layer_3.self_attention.in_proj_weight'
  t.deepEqual(
    origins.get(joined),
    ['query', 'key', 'value'].map(
      (part) => `vit.encoder.layer.3.attention.attention.${part}.weight`,
    ),
  )
})

test('vit_b_16 of torchvision before 0.13 names its two linear layers', (t) => {
  const { torchvision = {} } = encoders.vit_b_16 ?? {}
  const old = Object.entries(torchvision).map(
    ([name, shape]) =>
      [
        name.replace('.mlp.0.', '.mlp.linear_1.').replace('.mlp.3.', '.mlp.linear_2.'),
        shape,
      ] as const,
  )
  same(t, Object.fromEntries(old), torchvision, 'torchvision')
})

test('names of no library stay as they are', (t) => {
  const { library, origins } = publishedNames(['layers.0.conv.weight', 'layers.0.bn.bias'])
  t.is(library, 'unknown')
  t.deepEqual(
    [...origins],
    [
      ['layers.0.conv.weight', ['layers.0.conv.weight']],
      ['layers.0.bn.bias', ['layers.0.bn.bias']],
    ],
  )
})

test('blocks that no network has are left out, at once', (t) => {
  const names = [
    'conv_stem.weight',
    'blocks.999999999.0.conv_dw.weight',
    'blocks.0.7.conv_xx.weight',
  ]
  t.deepEqual([...publishedNames(names).origins.keys()], ['features.0.0.weight'])
})
