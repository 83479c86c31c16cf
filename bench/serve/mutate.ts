/** Image files with damage: what a broken disk, a cut upload or somebody with a hex editor makes of one. */

/** @param dice whole numbers below n */
export function mutated(
  whole: Buffer,
  donor: Buffer,
  dice: (n: number) => number,
): { readonly way: string; readonly bytes: Buffer } {
  const ways = Object.entries(mutations)
  const [way, mutate] = ways[dice(ways.length)] as (typeof ways)[number]
  return { way, bytes: mutate(Buffer.from(whole), donor, dice) }
}

type Mutation = (bytes: Buffer, donor: Buffer, dice: (n: number) => number) => Buffer

const mutations: Readonly<Record<string, Mutation>> = {
  'bits flipped': (bytes, _, dice) => {
    for (let n = 1 + dice(20); n > 0; n--) flip(bytes, dice(bytes.length), dice)
    return bytes
  },
  'bits of the header flipped': (bytes, _, dice) => {
    // Behind the format's own name, which alone would refuse it.
    for (let n = 1 + dice(4); n > 0; n--)
      flip(bytes, 12 + dice(Math.min(80, bytes.length - 12)), dice)
    return bytes
  },
  'cut off': (bytes, _, dice) => bytes.subarray(0, dice(bytes.length)),
  'a hole': (bytes, _, dice) => {
    const at = 8 + dice(bytes.length - 8)
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + dice(500))])
  },
  "another format's header": (bytes, donor, dice) => {
    const length = 12 + dice(60)
    return Buffer.concat([donor.subarray(0, length), bytes.subarray(length)])
  },
  'another file inside': (bytes, donor, dice) => {
    const [at, from] = [dice(bytes.length), dice(donor.length)]
    const part = donor.subarray(from, from + 1 + dice(1000))
    return Buffer.concat([bytes.subarray(0, at), part, bytes.subarray(at)])
  },
  'a part doubled': (bytes, _, dice) => {
    const at = dice(bytes.length)
    const end = at + 1 + dice(1000)
    return Buffer.concat([bytes.subarray(0, end), bytes.subarray(at)])
  },
  'extreme numbers': (bytes, _, dice) => {
    const value = [0, 0x7f, 0xff, 0x80][dice(4)] ?? 0
    const at = 8 + dice(Math.max(1, Math.min(200, bytes.length - 12)))
    return bytes.fill(value, at, at + 1 + dice(4))
  },
}

function flip(bytes: Buffer, at: number, dice: (n: number) => number): void {
  bytes[at] = (bytes[at] ?? 0) ^ (1 << dice(8))
}
