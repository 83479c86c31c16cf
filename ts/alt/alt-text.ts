/** Alt text from a caption, as guides to good alt text ask for it. Source: https://www.w3.org/WAI/tutorials/images/tips/ */

/** Screen readers say that it is an image. */
const announced =
  /^(this is |there is |here is )?(an?|the)? ?(close[- ]up )?(image|picture|photo|photograph|pic|shot|view) (of|showing|that shows) /i
/** Words that nothing ends with. */
const dangling =
  /[\s,;:-]+(an?|and|as|at|by|for|from|in|into|is|are|next|of|on|onto|or|over|that|the|their|to|under|while|with|who|which|,)$/i

/**
 * One line without "image of", with a capital first letter and without a full stop, cut at a word.
 * @param longest characters
 */
export function altText(caption: string, longest: number): string {
  const text = caption
    .replace(/\s+/g, ' ')
    .replace(/ (?=[.,;:!?])/g, '')
    .trim()
    .replace(announced, '')
    .replace(/[.\s]+$/, '')
  const short = cut(text, longest)
  // By code point: a letter may be two UTF-16 units.
  const [first = ''] = short
  return first.toUpperCase() + short.slice(first.length)
}

function cut(text: string, longest: number): string {
  if (text.length <= longest) return text
  const space = text.lastIndexOf(' ', longest)
  let short = text.slice(0, space > 0 ? space : longest).replace(/[\s,;:.-]+$/, '')
  while (dangling.test(short)) short = short.replace(dangling, '')
  return short
}
