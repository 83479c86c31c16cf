/** Help of every command, and wrong use: exit code 2, one message with the nearest valid name, nothing on stdout. */
import test from 'ava'
import { version } from '../../ts/version.js'
import { cli } from './run-cli.js'

const commands = [
  'demo',
  'train',
  'caption',
  'alt',
  'serve',
  'evaluate',
  'score',
  'report',
  'inspect',
  'convert',
  'doctor',
  'bench',
]

for (const command of commands) {
  test(`${command} --help has examples and --json`, async (t) => {
    const { code, stdout, stderr } = await cli([command, '--help'])
    t.is(code, 0)
    t.is(stderr, '')
    t.regex(stdout, new RegExp(`^Usage: captioneer ${command} `))
    t.regex(stdout, new RegExp(`Examples:\n +captioneer ${command}`))
    t.regex(stdout, /--json/)
  })
}

test('the command alone lists its commands', async (t) => {
  const asked = await cli(['--help'])
  t.is(asked.code, 0)
  for (const command of commands) t.regex(asked.stdout, new RegExp(`^ +${command} `, 'm'))
  const bare = await cli([])
  t.is(bare.code, 2)
  t.is(bare.stdout, '')
  t.is(bare.stderr, asked.stdout)
  t.like(await cli(['--version']), { code: 0, stdout: `${version}\n`, stderr: '' })
})

const wrong: [words: readonly string[], message: RegExp][] = [
  [['trian'], /unknown command 'trian' \(Did you mean train\?\)/],
  [['zzzzzzzz'], /unknown command 'zzzzzzzz'; see captioneer --help/],
  [['caption', 'a.jpg', '--model', 'm', '--bem', '3'], /unknown option '--bem'.*--beam/],
  [['caption', '--model', 'm'], /missing required argument 'images'/],
  [['caption', 'a.jpg'], /required option '--model <folder>'/],
  [['caption', 'a.jpg', '--model', 'm', '--beam', 'x'], /--beam.*an integer from 1 to 64/],
  [['caption', 'a.jpg', '--model', 'm', '--length-penalty', ' '], /a number from 0 to 10/],
  [['caption', 'a.jpg', '--model', 'm', '--device', 'gpu'], /Did you mean cpu\?/],
  [['serve'], /required option '--model <\[id=\]folder\.\.\.>'/],
  [['serve', '--model', 'a=m', '--model', 'a=n'], /Two models have the id "a"/],
  [['serve', '--model', 'm', '--port', '70000'], /an integer from 0 to 65535/],
  [['serve', '--model', 'm', '--cors', 'example.org'], /Expected an origin/],
  [['serve', '--model', 'm', '--token', 'short'], /Expected 8 to 512/],
  [['evaluate', '--model', 'm', '--data', 'd', '--split', 'tests'], /Did you mean test\?/],
  [['score', 'extra', '--predictions', 'a', '--references', 'b'], /too many arguments/],
  [['train'], /no data.*--data PATH/],
  [['train', '--data', 'd', '--epoch', '3'], /unknown flag --epoch; did you mean --epochs\?/],
  [['train', '--data', 'd', '--epochs', 'many'], /epochs to be an integer.*received "many"/],
  [['train', '--data', 'd', '--preset', 'tinny'], /received "tinny"; did you mean "tiny"\?/],
  [['train', '--data', 'd', '--model.decodr.dim=3'], /did you mean "model\.decoder\.dim"/],
  [['train', '--data', 'd', '--learning-rate', '1'], /did you mean "optimizer\.learningRate"/],
  [['train', '--data', 'd', '--model.decoder.dim', 'x'], /dim to be an integer from 8 to 8192/],
  [['train', '--data', 'd', '--seed', '-1'], /seed to be an integer from 0.*received -1/],
  [['train', '--data', 'd', '--config', 'no.yaml'], /reading no\.yaml: no such file/],
  [['inspect', 'tinny'], /neither a preset .* nor a model folder; did you mean tiny\?/],
  [['inspect', 'tiny', '--vocabulary', '1'], /--vocabulary.*an integer from 5/],
  [['inspect', 'tiny', '--model.decoder.heads=7'], /a divisor of model\.decoder\.dim \(96\)/],
  [['inspect', 'package.json', '--vocabulary', '9'], /settings of its own/],
  [['doctor', '--jsn'], /unknown option '--jsn'.*--json/],
  [['demo', '--max-seconds', 'soon'], /--max-seconds.*a number from 1/],
]

for (const [words, message] of wrong) {
  test(`captioneer ${words.join(' ')}`, async (t) => {
    const { code, stdout, stderr } = await cli(words)
    t.is(code, 2)
    t.is(stdout, '')
    t.regex(stderr, /^error: .+\n$/, 'one message, no stack')
    t.regex(stderr, message)
  })
}

test('with --json a failure is one document too', async (t) => {
  const { code, stdout, stderr } = await cli(['train', '--data', 'd', '--epoch', '3', '--json'])
  t.is(code, 2)
  const { error } = JSON.parse(stdout)
  t.is(error.code, 'ERR_ARGUMENT')
  t.is(stderr, `error: ${error.message}\n`)
})

test('CAPTIONEER_DEBUG=1 shows where an error comes from', async (t) => {
  const { code, stderr } = await cli(['inspect', 'tinny'], { env: { CAPTIONEER_DEBUG: '1' } })
  t.is(code, 2)
  t.regex(stderr, /ArgumentError: .*\n +at .*inspect\.js/)
})
