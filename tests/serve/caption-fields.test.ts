/** Options as text, from forms and queries. */
import test from 'ava'
import { captionFields, fieldSchemas } from '../../ts/serve/caption-fields.js'

test('snake_case and camelCase, each value of its type', (t) => {
  const given = {
    model: 'a.b-c_1',
    stream: 'True',
    beam: '5',
    maxTokens: '20',
    length_penalty: '0.5',
    num_captions: '3',
    prefix: 'a dog 1',
    attention: '0',
    seed: '9007199254740991',
    top_p: '1e-1',
  }
  t.deepEqual(captionFields(Object.entries(given)), {
    model: 'a.b-c_1',
    stream: true,
    options: {
      beam: 5,
      maxTokens: 20,
      lengthPenalty: 0.5,
      numCaptions: 3,
      prefix: 'a dog 1',
      attention: false,
      seed: 9007199254740991,
      topP: 0.1,
    },
  })
})

test('an empty field is none, but an empty prefix is one', (t) => {
  const fields = captionFields([
    ['beam', ''],
    ['prefix', ''],
    ['stream', ''],
  ])
  t.deepEqual(fields, { model: undefined, stream: false, options: { prefix: '' } })
})

for (const [fields, expected] of [
  ['beem=3', /unknown field "beem"; did you mean "beam" \(an integer from 1 to 64\)\?/],
  ['fil=x', /did you mean "file"\?/],
  ['maxtoken=3', /did you mean "max_tokens" \(an integer from 1 to 512\)/],
  ['qqqqqqqq=3', /unknown field "qqqqqqqq"; expected one of file, model, stream, attention, beam/],
  ['__proto__=3', /unknown field "__proto__"/],
  ['constructor=3', /unknown field "constructor"/],
  ['beam=0', /expected beam to be an integer from 1 to 64, received "0"/],
  ['beam=1.5', /expected beam to be an integer/],
  ['beam=0x10', /expected beam to be an integer/],
  ['beam= 3', /expected beam to be an integer/],
  ['beam=Infinity', /expected beam to be an integer/],
  ['top_p=0', /expected top_p to be a number above 0, at most 1, received "0"/],
  ['topP=1.01', /expected topP to be a number above 0, at most 1, received "1.01"/],
  ['attention=maybe', /expected attention to be true or false, received "maybe"/],
  ['model=../x', /expected model to be the id of a model/],
  [`model=${'m'.repeat(65)}`, /expected model/],
  [`prefix=${'x'.repeat(10_001)}`, /expected prefix to be a text of at most 10000 characters/],
  ['beam=3&beam=3', /beam is given twice/],
  ['max_tokens=3&maxTokens=3', /maxTokens is given twice/],
] as const)
  test(`refused: ${fields.slice(0, 40)}`, (t) => {
    const pairs = fields.split('&').map((pair) => pair.split('=') as [string, string])
    t.throws(() => captionFields(pairs), { code: 'ERR_ARGUMENT', message: expected })
  })

test('every option has a schema under its snake_case name', (t) => {
  t.like(fieldSchemas.max_tokens, { type: 'integer', minimum: 1, maximum: 512 })
  t.like(fieldSchemas.top_p, { type: 'number', exclusiveMinimum: 0, maximum: 1 })
  t.like(fieldSchemas.attention, { type: 'boolean' })
})
