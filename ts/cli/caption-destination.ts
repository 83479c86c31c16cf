/** Which files the flags of `captioneer caption` ask for, and which flags do not go together. */
import { statSync } from 'node:fs'
import { dirname } from 'node:path'
import { IMAGE_EXTENSIONS } from '../data/image.js'
import { ArgumentError } from '../errors.js'
import { createCollection } from '../folders/collection.js'
import type { CaptionFormat, Destination } from '../folders/destination.js'
import { createSidecars } from '../folders/sidecars.js'
import type { CaptionFlags } from './caption.js'

const fileFlags = [
  'out',
  'extension',
  'ifExists',
  'resume',
  'dryRun',
  'before',
  'after',
  'minConfidence',
  'watch',
  'strict',
] as const

/** @throws ArgumentError when flags of files stand without --format */
export function refuseFileFlags(flags: CaptionFlags): void {
  const name = fileFlags.find((flag) => flags[flag] !== undefined)
  if (name !== undefined)
    throw new ArgumentError(
      `caption: --${flagName(name)} is for captions in files. Give --format txt, json, jsonl, csv or html with it`,
    )
}

/** @throws ArgumentError when flags contradict each other, or the words */
export function refuseTogether(
  words: readonly string[],
  flags: CaptionFlags,
  format: CaptionFormat,
): void {
  const refuse = (message: string) => {
    throw new ArgumentError(`caption: ${message}`)
  }
  if (words.includes('-'))
    refuse('a picture on stdin is printed. Leave out --format, or give files')
  if (flags.attention !== undefined)
    refuse('--attention goes with printed captions. Leave out --format, or --attention')
  if (flags.watch && flags.dryRun) refuse('--watch writes, --dry-run does not; give one of them')
  const notFolder = flags.watch && words.find((word) => !isFolder(word))
  if (notFolder) refuse(`--watch takes folders, and ${notFolder} is none`)
  const { extension, out } = flags
  if (isOneFile(format)) {
    if (extension !== undefined)
      refuse(`--extension is for --format txt and json; the file of ${format} is named by --out`)
    if (out !== undefined && isFolder(out))
      refuse(
        `--format ${format} writes one file, and ${out} is a folder. Give --out ${out}/captions.${format}`,
      )
    return
  }
  if (extension !== undefined && !/^\.?[\w-]+(\.[\w-]+)*$/.test(extension))
    refuse(
      `expected --extension to be letters and digits such as .caption, received "${extension}"`,
    )
  if (IMAGE_EXTENSIONS.includes(dotted(extension ?? format).toLowerCase()))
    refuse(`--extension ${extension} would name pictures. Choose another, such as .txt`)
}

/** @param later whether the command has written its files once already, and looks at pictures that came since */
export function destinationOf(
  words: readonly string[],
  flags: CaptionFlags,
  format: CaptionFormat,
  later: boolean,
): Destination {
  const { ifExists = 'skip', resume = false, before = '', after = '', extension, out } = flags
  const shared = { ifExists, resume, before, after }
  if (isOneFile(format)) {
    const rule = later ? 'skip' : ifExists
    return createCollection({
      ...shared,
      ifExists: rule,
      format,
      file: out ?? `captions.${format}`,
    })
  }
  const [first = '.'] = words
  const home = isFolder(first) ? first : dirname(first)
  return createSidecars({ ...shared, format, extension: dotted(extension ?? format), out, home })
}

function isOneFile(format: CaptionFormat): format is 'jsonl' | 'csv' | 'html' {
  return format !== 'txt' && format !== 'json'
}

function dotted(extension: string): string {
  return extension.startsWith('.') ? extension : `.${extension}`
}

function flagName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
}
