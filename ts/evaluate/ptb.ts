/**
 * Splits a caption into tokens as coco-caption does before scoring: Stanford PTBTokenizer with
 * -preserveLines -lowerCase, then without punctuation. The token forms are in `ptb-rules.ts`.
 */

import { splitWord, TOKEN_RULES } from './ptb-rules.js'

/** A run of plain letters before a space or the end: most of every caption, and never anything but a word. */
const PLAIN_WORD = /[A-Za-z]+(?=[ \n])/y

/**
 * The scoring tokens of one caption, lower case. Contractions are split (`it 's`, `do n't`, `can not`),
 * hyphenated words are not, brackets become `-lrb-`, and
 * `'' ' `` ` . ? ! , : - -- ... ;` are dropped.
 *
 * @param text a caption; line breaks count as spaces
 * @returns tokens in order; none for a caption without any
 * Source: tylin/coco-caption, pycocoevalcap/tokenizer/ptbtokenizer.py; behaviour of CoreNLP 3.4.1.
 */
export function tokenizeCaption(text: string): string[] {
  const line = straightened(text)
  const tokens: string[] = []
  let at = 0
  while (at < line.length) {
    if (line[at] === ' ' || line[at] === '\n') {
      at++
      continue
    }
    PLAIN_WORD.lastIndex = at
    const plain = PLAIN_WORD.exec(line)?.[0]
    if (plain !== undefined) {
      tokens.push(...splitWord(plain))
      at += plain.length
      continue
    }
    at += longestToken(line, at, tokens)
  }
  return tokens
}

/** Adds what the best rule reads at `at` to `tokens`; returns the characters consumed. */
function longestToken(line: string, at: number, tokens: string[]): number {
  let reach = 0
  let text = ''
  let read: ((text: string) => readonly string[]) | undefined
  for (const rule of TOKEN_RULES) {
    rule.pattern.lastIndex = at
    const match = rule.pattern.exec(line)
    if (match !== null && match[0].length > reach) {
      reach = match[0].length
      text = match[1] ?? ''
      read = rule.tokens
    }
  }
  // A character that no rule reads (an emoji, a control character) is left out, as CoreNLP 3.4.1 does.
  if (read === undefined) return (line.codePointAt(at) as number) > 0xffff ? 2 : 1
  tokens.push(...read(text))
  return text.length
}

/** One spelling for quotes, dashes, dots, entities and spaces, so that the rules need only one each. */
function straightened(text: string): string {
  const line = text
    .replace(/[\u2019\u00b4\u0092]|&apos;/g, "'")
    .replace(/[`\u2018\u201a-\u201f\u00ab\u00bb\u2039\u203a\u0091\u0093\u0094]|&quot;/g, '"')
    .replace(/[\u2013-\u2015\u0096\u0097]|&[mn]dash;/g, ' -- ')
    .replace(/[\u2026\u0085]/g, ' ... ')
    .replaceAll('&amp;', '&')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replace(/\u00ad/g, '')
    .replace(/[\s\u200b\ufeff]|&nbsp;/g, ' ')
  return `${line}\n`
}
