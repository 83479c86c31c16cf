/**
 * Bytes as printable characters, so that any byte sequence can stand in a JSON vocabulary: printable
 * Latin-1 bytes stand for themselves, the others for U+0100 onwards in order (space is "Ġ").
 * Source: GPT-2's vocabulary files, Radford et al. 2019; the alphabet of Hugging Face's "ByteLevel".
 */

/** The character of each byte, by byte. */
export const byteCharacters: readonly string[] = alphabet()

const bytesByCharacter = new Map(byteCharacters.map((character, byte) => [character, byte]))

/** The bytes that `token` writes, or undefined when a character of it is outside the alphabet. */
export function tokenBytes(token: string): number[] | undefined {
  const bytes: number[] = []
  for (const character of token) {
    const byte = bytesByCharacter.get(character)
    if (byte === undefined) return undefined
    bytes.push(byte)
  }
  return bytes
}

function alphabet(): string[] {
  let substitute = 0x100
  return Array.from({ length: 256 }, (_, byte) =>
    String.fromCharCode(isPrintable(byte) ? byte : substitute++),
  )
}

function isPrintable(byte: number): boolean {
  const softHyphen = 0xad
  return (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== softHyphen)
}
