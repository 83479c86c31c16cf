/**
 * The names that timm and Hugging Face give the tensors of encoders, as torchvision's, which are ours. Only names: values
 * stay as they are, but for a ViT's queries, keys and values, which torchvision keeps in one tensor. Which of the tensors
 * an encoder needs, and their shapes, is for its specs to say.
 * Source of the names: torchvision 0.28, timm 1.0, transformers 4.57 and 5.18.
 */
import { timmMobileNames } from './timm-mobile-names.js'

/** Where a tensor comes from: one tensor of the file, or several, one after another along the first axis. */
export type Origin = readonly string[]

interface Library {
  readonly name: string
  /** A tensor that files of this library have and others have not. What stands before it stands before all. */
  readonly mark: string
  /** From all names of a file to torchvision's name of each; undefined for one that no encoder has, as a classifier's. */
  readonly renamer: (all: ReadonlySet<string>) => (name: string) => string | undefined
  /** torchvision's names that are put together of several of these. */
  readonly joins?: readonly (readonly [joined: RegExp, parts: (...found: string[]) => Origin])[]
}

/** Rules tried in order; `$1` as in String.replace. */
type Rules = readonly (readonly [pattern: RegExp, name: string])[]

const timmVit: Rules = [
  [/^cls_token$/, 'class_token'],
  [/^pos_embed$/, 'encoder.pos_embedding'],
  [/^patch_embed\.proj\./, 'conv_proj.'],
  [/^blocks\.(\d+)\.norm([12])\./, 'encoder.layers.encoder_layer_$1.ln_$2.'],
  [/^blocks\.(\d+)\.attn\.qkv\./, 'encoder.layers.encoder_layer_$1.self_attention.in_proj_'],
  [/^blocks\.(\d+)\.attn\.proj\./, 'encoder.layers.encoder_layer_$1.self_attention.out_proj.'],
  [/^blocks\.(\d+)\.mlp\.fc1\./, 'encoder.layers.encoder_layer_$1.mlp.0.'],
  [/^blocks\.(\d+)\.mlp\.fc2\./, 'encoder.layers.encoder_layer_$1.mlp.3.'],
  [/^norm\./, 'encoder.ln.'],
]

// Version 4 writes encoder.layer.0.attention.attention.query, version 5 layers.0.attention.q_proj.
const layer = /^(?:encoder\.layer|layers)\.(\d+)\./.source
const huggingFaceVit: Rules = [
  [/^embeddings\.cls_token$/, 'class_token'],
  [/^embeddings\.position_embeddings$/, 'encoder.pos_embedding'],
  [/^embeddings\.patch_embeddings\.projection\./, 'conv_proj.'],
  [new RegExp(`${layer}layernorm_before\\.`), 'encoder.layers.encoder_layer_$1.ln_1.'],
  [new RegExp(`${layer}layernorm_after\\.`), 'encoder.layers.encoder_layer_$1.ln_2.'],
  [
    new RegExp(`${layer}attention\\.(?:output\\.dense|o_proj)\\.`),
    'encoder.layers.encoder_layer_$1.self_attention.out_proj.',
  ],
  [
    new RegExp(`${layer}(?:intermediate\\.dense|mlp\\.fc1)\\.`),
    'encoder.layers.encoder_layer_$1.mlp.0.',
  ],
  [new RegExp(`${layer}(?:output\\.dense|mlp\\.fc2)\\.`), 'encoder.layers.encoder_layer_$1.mlp.3.'],
  [/^layernorm\./, 'encoder.ln.'],
]

const huggingFaceResnet: Rules = [
  [/^embedder\.embedder\.convolution\./, 'conv1.'],
  [/^embedder\.embedder\.normalization\./, 'bn1.'],
]

/** In the order in which they are looked for; the names of timm's ResNets are torchvision's. */
const libraries: readonly Library[] = [
  { name: 'timm', mark: 'conv_stem.weight', renamer: timmMobileNames },
  { name: 'timm', mark: 'patch_embed.proj.weight', renamer: byRules(timmVit) },
  {
    name: 'Hugging Face',
    mark: 'embeddings.patch_embeddings.projection.weight',
    renamer: byRules(huggingFaceVit),
    joins: [
      [
        new RegExp(`${layer}attention\\.attention\\.query\\.(weight|bias)$`),
        (n, of) =>
          ['query', 'key', 'value'].map(
            (part) => `encoder.layer.${n}.attention.attention.${part}.${of}`,
          ),
      ],
      [
        new RegExp(`${layer}attention\\.q_proj\\.(weight|bias)$`),
        (n, of) => ['q', 'k', 'v'].map((part) => `layers.${n}.attention.${part}_proj.${of}`),
      ],
    ],
  },
  {
    name: 'Hugging Face',
    mark: 'embedder.embedder.convolution.weight',
    renamer: () => (name) => renamed(name, huggingFaceResnet) ?? huggingFaceStage(name),
  },
  {
    name: 'torchvision',
    mark: 'conv_proj.weight',
    // Files from before torchvision 0.13 name the two linear layers.
    renamer: () => (name) =>
      name.replace('.mlp.linear_1.', '.mlp.0.').replace('.mlp.linear_2.', '.mlp.3.'),
  },
  { name: 'torchvision', mark: 'features.0.0.weight', renamer: () => (name) => name },
  { name: 'torchvision', mark: 'conv1.weight', renamer: () => (name) => name },
]

/**
 * torchvision's names of the tensors of a file, and where each comes from. A wrapper's prefix is left out
 * (`module.conv1.weight`), and so is whatever stands outside of it.
 *
 * @param names  of a file
 * @returns      the library whose names they are, `unknown` for our own ones, which stay as they are
 */
export function publishedNames(names: Iterable<string>): {
  readonly library: string
  readonly origins: ReadonlyMap<string, Origin>
} {
  const all = [...names]
  const found = libraries
    .map((library) => ({ library, prefix: prefixOf(library.mark, all) }))
    .find(({ prefix }) => prefix !== undefined)
  const prefix = found?.prefix ?? ''
  const bare = all
    .filter((name) => name.startsWith(prefix))
    .map((name) => name.slice(prefix.length))
  const origins = new Map<string, Origin>()
  if (found === undefined) for (const name of all) origins.set(name, [name])
  else {
    const rename = found.library.renamer(new Set(bare))
    for (const name of bare) {
      const [target, origin] = originOf(found.library, rename, name) ?? []
      if (target !== undefined)
        origins.set(
          target,
          (origin ?? []).map((part) => prefix + part),
        )
    }
  }
  return { library: found?.library.name ?? 'unknown', origins }
}

function originOf(
  library: Library,
  rename: (name: string) => string | undefined,
  name: string,
): readonly [target: string, origin: Origin] | undefined {
  for (const [pattern, parts] of library.joins ?? []) {
    const [, index = '', of = ''] = pattern.exec(name) ?? []
    if (index !== '')
      return [
        `encoder.layers.encoder_layer_${index}.self_attention.in_proj_${of}`,
        parts(index, of),
      ]
  }
  const target = rename(name)
  return target === undefined ? undefined : [target, [name]]
}

/** What stands before the mark where it is a whole name or the end of a dotted one; the shortest such. */
function prefixOf(mark: string, names: readonly string[]): string | undefined {
  return names
    .filter((name) => name === mark || name.endsWith(`.${mark}`))
    .map((name) => name.slice(0, name.length - mark.length))
    .sort((a, b) => a.length - b.length)[0]
}

function byRules(rules: Rules): Library['renamer'] {
  return () => (name) => renamed(name, rules)
}

function renamed(name: string, rules: Rules): string | undefined {
  const rule = rules.find(([pattern]) => pattern.test(name))
  return rule && name.replace(...rule)
}

/** encoder.stages.0.layers.1.layer.2.convolution.weight as layer1.1.conv3.weight. */
function huggingFaceStage(name: string): string | undefined {
  const match =
    /^encoder\.stages\.(\d+)\.layers\.(\d+)\.(shortcut|layer\.(\d+))\.(convolution|normalization)\.(\w+)$/.exec(
      name,
    )
  if (match === null) return undefined
  const [, stage, block, part, index, kind, of] = match
  const path = `layer${Number(stage) + 1}.${block}`
  const isNorm = kind === 'normalization'
  if (part === 'shortcut') return `${path}.downsample.${isNorm ? 1 : 0}.${of}`
  return `${path}.${isNorm ? 'bn' : 'conv'}${Number(index) + 1}.${of}`
}
