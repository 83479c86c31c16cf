/** Values of flags, checked as they are read. Flags that are config keys are config-flags.ts. */
import { InvalidArgumentError, Option } from 'commander'
import { nearest } from '../errors.js'
import type { DeviceName } from '../native.js'

/** The flag that every command has for scripts. */
export const jsonFlags = [
  '--json',
  'print one JSON document on stdout, all else on stderr',
] as const

/** The value of a flag that takes a whole number. */
export function wholeNumber(low: number, high: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
    if (value >= low && value <= high) return value
    throw new InvalidArgumentError(`Expected an integer from ${low} to ${high}.`)
  }
}

/** The value of a flag that takes a number. */
export function numberFrom(low: number, high: number): (text: string) => number {
  return (text) => {
    const value = text.trim() === '' ? Number.NaN : Number(text)
    if (value >= low && value <= high) return value
    throw new InvalidArgumentError(`Expected a number from ${low} to ${high}.`)
  }
}

/** The value of a flag that takes one of a few words. */
export function oneOf<const T extends string>(valid: readonly T[]): (text: string) => T {
  return (text) => {
    const found = valid.find((word) => word === text)
    if (found !== undefined) return found
    const near = nearest(text, valid)
    const hint = near === undefined ? '' : ` Did you mean ${near}?`
    throw new InvalidArgumentError(`Expected one of ${valid.join(', ')}.${hint}`)
  }
}

/** `--device NAME`. */
export function deviceOption(): Option {
  const names: readonly DeviceName[] = ['auto', 'cpu', 'cuda']
  return new Option('--device <name>', 'auto, cpu or cuda')
    .default('auto')
    .argParser(oneOf<DeviceName>(names))
}

/** `options` without the entries that are undefined, as exact optional properties ask. */
export function given<T extends object>(options: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(options).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> }
}
