/** Where the package lies, for files that are read from it. */
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The package's own folder: this file lies in dist/ts. */
export const packageRoot = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
