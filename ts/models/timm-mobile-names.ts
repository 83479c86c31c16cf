/**
 * timm's names of MobileNetV2 and EfficientNet as torchvision's. timm's blocks stand in stages; torchvision counts a
 * MobileNet's blocks through, keeps the stages of an EfficientNet, and numbers the parts of a block.
 */

/** @param all names of a file @returns torchvision's name of each; undefined for what no encoder has */
export function timmMobileNames(all: ReadonlySet<string>): (name: string) => string | undefined {
  const isEfficient = [...all].some((name) => name.includes('.se.'))
  const stages = countStages(all)
  const blocks = stages.reduce((sum, count) => sum + count, 0)
  const head = 1 + (isEfficient ? stages.length : blocks)
  const before = stages.map((_, i) => stages.slice(0, i).reduce((sum, count) => sum + count, 0))
  const parts = isEfficient ? efficientParts : mobileParts
  return (name) => {
    const [, end, endOf] = /^(conv_stem|bn1|conv_head|bn2)\.(\w+)$/.exec(name) ?? []
    if (end !== undefined) {
      const at = end === 'conv_stem' || end === 'bn1' ? 0 : head
      return `features.${at}.${end.startsWith('bn') ? 1 : 0}.${endOf}`
    }
    const [, stage = '', index = '', part = '', of = ''] = blockName.exec(name) ?? []
    const widens = all.has(`blocks.${stage}.${index}.conv_pwl.weight`)
    const place = parts[widens ? 'wide' : 'narrow'].get(part)
    if (place === undefined) return undefined
    return isEfficient
      ? `features.${Number(stage) + 1}.${index}.block.${place}.${of}`
      : `features.${1 + (before[Number(stage)] ?? 0) + Number(index)}.conv.${place}.${of}`
  }
}

const blockName = /^blocks\.(\d{1,2})\.(\d{1,3})\.(.+)\.(\w+)$/

/** How many blocks each stage has. */
function countStages(all: ReadonlySet<string>): readonly number[] {
  const last = new Map<number, number>()
  for (const name of all) {
    const [, stage, index] = blockName.exec(name) ?? []
    if (stage !== undefined)
      last.set(Number(stage), Math.max(last.get(Number(stage)) ?? 0, Number(index)))
  }
  return Array.from({ length: Math.max(-1, ...last.keys()) + 1 }, (_, i) => 1 + (last.get(i) ?? -1))
}

/** Parts of a block by timm's name; the first block does not widen its channels. */
const mobileParts = {
  narrow: new Map([
    ['conv_dw', '0.0'],
    ['bn1', '0.1'],
    ['conv_pw', '1'],
    ['bn2', '2'],
  ]),
  wide: new Map([
    ['conv_pw', '0.0'],
    ['bn1', '0.1'],
    ['conv_dw', '1.0'],
    ['bn2', '1.1'],
    ['conv_pwl', '2'],
    ['bn3', '3'],
  ]),
}

const efficientParts = {
  narrow: new Map([
    ['conv_dw', '0.0'],
    ['bn1', '0.1'],
    ['se.conv_reduce', '1.fc1'],
    ['se.conv_expand', '1.fc2'],
    ['conv_pw', '2.0'],
    ['bn2', '2.1'],
  ]),
  wide: new Map([
    ['conv_pw', '0.0'],
    ['bn1', '0.1'],
    ['conv_dw', '1.0'],
    ['bn2', '1.1'],
    ['se.conv_reduce', '2.fc1'],
    ['se.conv_expand', '2.fc2'],
    ['conv_pwl', '3.0'],
    ['bn3', '3.1'],
  ]),
}
