/** Run by atomic.test.ts where little can be written: writes 4 MiB to the path and prints the error. */
import { writeAtomic } from '../../ts/files/atomic.js'

try {
  await writeAtomic(process.argv[2] ?? '', async (file) => {
    for (let i = 0; i < 64; i++) await file.writeFile(Buffer.alloc(65_536))
  })
} catch (error) {
  console.log((error as Error).message)
}
