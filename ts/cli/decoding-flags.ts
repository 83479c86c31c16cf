/** The flags that say how captions are decoded, the same for every command that captions. */
import { type Command, Option } from 'commander'
import type { CaptionOptions } from '../decoding/options.js'
import { given, numberFrom, wholeNumber } from './options.js'

/** Values of the flags. Commander takes "--no-..." for a negation, and so names that flag's value repeatNgram. */
export type DecodingFlags = Omit<CaptionOptions, 'seed' | 'attention' | 'noRepeatNgram'> & {
  readonly repeatNgram: number | null
}

type Decoding = Omit<CaptionOptions, 'seed' | 'attention'>

/** Adds the flags, all but those of several captions and the seed. */
export function addDecodingFlags(command: Command): Command {
  return command
    .option('--beam <n>', 'captions kept while searching; 1 is greedy', wholeNumber(1, 64))
    .option('--max-tokens <n>', 'longest caption, in tokens', wholeNumber(1, 512))
    .option('--min-tokens <n>', 'shortest caption, in tokens', wholeNumber(1, 512))
    .option('--length-penalty <x>', 'larger prefers longer captions', numberFrom(0, 10))
    .option('--temperature <x>', 'sample: above 1 more varied, 0 is greedy', numberFrom(0, 100))
    .option('--top-k <n>', 'sample from so many most probable words', wholeNumber(1, 2 ** 31 - 1))
    .option(
      '--top-p <x>',
      'sample from the fewest most probable words that reach this probability',
      numberFrom(0, 1),
    )
    .option(
      '--typical-p <x>',
      'sample from the fewest most typical words that reach this probability',
      numberFrom(0, 1),
    )
    .option(
      '--tau <x>',
      'sample from this share of the vocabulary, the most typical words',
      numberFrom(0, 1),
    )
    .option(
      '--repetition-penalty <x>',
      'above 1: words that are there already become less probable',
      numberFrom(0, 100),
    )
    .option(
      '--repetition-window <n>',
      'so many tokens it looks back (default: 64)',
      wholeNumber(1, 512),
    )
    .option(
      '--frequency-penalty <x>',
      'words that are there more than once become less probable',
      numberFrom(0, 100),
    )
    .option(
      '--frequency-window <n>',
      'so many tokens it looks back (default: 128)',
      wholeNumber(1, 512),
    )
    .addOption(
      new Option('--no-repeat-ngram <n>', 'no sequence of so many words comes twice; 0: any may')
        .argParser(wholeNumber(0, 512))
        .default(null, 'as the model says'),
    )
    .option('--prefix <text>', 'what captions begin with')
}

/** The options among a command's flags. */
export function decodingOf(flags: DecodingFlags): { [K in keyof Decoding]?: Decoding[K] } {
  return given({
    beam: flags.beam,
    maxTokens: flags.maxTokens,
    minTokens: flags.minTokens,
    lengthPenalty: flags.lengthPenalty,
    temperature: flags.temperature,
    topK: flags.topK,
    topP: flags.topP,
    typicalP: flags.typicalP,
    tau: flags.tau,
    repetitionPenalty: flags.repetitionPenalty,
    repetitionWindow: flags.repetitionWindow,
    frequencyPenalty: flags.frequencyPenalty,
    frequencyWindow: flags.frequencyWindow,
    noRepeatNgram: flags.repeatNgram ?? undefined,
    prefix: flags.prefix,
  })
}
