/** Blocks of shell in the documents, cut into commands and words; as much of a shell's grammar as the documents use. */
import type { Block } from './pages.js'

export interface ShellCommand {
  readonly place: string
  readonly words: readonly string[]
}

/** The commands of a block, without what they are redirected to and without variables set before them. */
export function commandsOf({ place, code }: Block): ShellCommand[] {
  return code
    .replace(/\\\n\s*/g, ' ')
    .split('\n')
    .flatMap((line) => cut(line))
    .map((words) => words.slice(words.findIndex((word) => !/^[A-Z_]+=/.test(word))))
    .filter((words) => words.length > 0)
    .map((words) => ({ place, words }))
}

/** One line as commands of words. */
function cut(line: string): string[][] {
  const commands: string[][] = [[]]
  let word: string | undefined
  const end = () => {
    if (word !== undefined) commands.at(-1)?.push(word)
    word = undefined
  }
  for (let i = 0; i < line.length; i++) {
    const character = line[i] ?? ''
    if (character === "'" || character === '"') {
      const close = closing(line, i)
      word = (word ?? '') + line.slice(i + 1, close)
      i = close
    } else if (line.startsWith('$(', i)) {
      const close = line.indexOf(')', i)
      word = (word ?? '') + line.slice(i, close + 1)
      i = close
    } else if (character === '\\') {
      word = (word ?? '') + (line[++i] ?? '')
    } else if (character === '#' && word === undefined) {
      break
    } else if (/\s/.test(character)) {
      end()
    } else if (/[|&;]/.test(character)) {
      end()
      commands.push([])
    } else if (character === '>' || character === '<') {
      // The file of a redirection is no argument.
      word = undefined
      const rest = /^[<>]+\s*\S+/.exec(line.slice(i))
      i += (rest?.[0].length ?? 1) - 1
    } else {
      word = (word ?? '') + character
    }
  }
  end()
  return commands
}

function closing(line: string, open: number): number {
  const quote = line[open]
  for (let i = open + 1; i < line.length; i++) {
    if (line[i] === '\\' && quote === '"') i++
    else if (line[i] === quote) return i
  }
  throw new Error(`a quotation has no end: ${line}`)
}
