/** TypeScript in the documents compiles against the public API, as it would in a project that has captioneer installed. */
import { join } from 'node:path'
import test from 'ava'
import ts from 'typescript'
import { packageRoot } from '../../ts/native.js'
import { allPages } from './pages.js'

test('every block of TypeScript that imports captioneer compiles', (t) => {
  const blocks = allPages()
    .flatMap(({ blocks }) => blocks)
    .filter(({ language, code }) => language === 'ts' && code.includes("from 'captioneer'"))
  t.true(blocks.length >= 3)
  // Beside the examples, whose place in the package lets them import it by name.
  const files = new Map(
    blocks.map(({ place, code }) => [
      join(packageRoot, 'examples', `${place.replace(/\W/g, '-')}.ts`),
      { place, code: `${code}\nexport {}` },
    ]),
  )
  const config = ts.readConfigFile(join(packageRoot, 'tsconfig.json'), ts.sys.readFile)
  const { options } = ts.parseJsonConfigFileContent(config.config, ts.sys, packageRoot)
  const host = ts.createCompilerHost(options)
  const read = host.getSourceFile.bind(host)
  host.getSourceFile = (name, version) => {
    const file = files.get(name)
    return file ? ts.createSourceFile(name, file.code, version, true) : read(name, version)
  }
  // What an example leaves unused, a reader will use.
  const program = ts.createProgram(
    [...files.keys()],
    { ...options, noEmit: true, noUnusedLocals: false },
    host,
  )
  const wrong = [...files].flatMap(([name, { place, code }]) => {
    const source = program.getSourceFile(name)
    const found = [
      ...program.getSyntacticDiagnostics(source),
      ...program.getSemanticDiagnostics(source),
    ]
    return found.map(({ messageText, start = 0 }) => {
      const line = code.slice(0, start).split('\n').length
      return `${place}, line ${line}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`
    })
  })
  t.deepEqual(wrong, [])
})
