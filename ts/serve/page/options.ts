/** The form of options, as fields of the server's POST /caption. */
import { byId, make } from './element.js'
import type { OfferedModel } from './reply.js'

/** What the form says now. */
export interface CaptionChoice {
  readonly way: string
  readonly beam: number
  readonly count: number
  readonly temperature: number
  /** Empty: another one each time. */
  readonly seed: string
  readonly prefix: string
  readonly model: string
}

/** Fields by the server's names: a search, or samples with their temperature and seed. */
export function fieldsOf(choice: CaptionChoice): Map<string, string> {
  const { way, beam, count, temperature, seed, prefix, model } = choice
  const fields = new Map([
    ['attention', 'true'],
    ['num_captions', String(count)],
  ])
  if (way === 'sample') {
    fields.set('temperature', String(temperature))
    fields.set('seed', seed || String(Math.floor(Math.random() * 2 ** 31)))
  } else {
    // A search finds at most as many captions as it keeps.
    fields.set('beam', String(Math.max(beam, count)))
  }
  if (prefix.trim()) fields.set('prefix', prefix.trim())
  if (model) fields.set('model', model)
  return fields
}

export interface OptionsForm {
  fields(): Map<string, string>
  token(): string
  askForToken(): void
  offer(models: readonly OfferedModel[]): void
}

export interface OptionsListeners {
  readonly onModel: (id: string) => void
  /** Called when the access token was changed. */
  readonly onToken: () => void
}

export function createOptions({ onModel, onToken }: OptionsListeners): OptionsForm {
  const form = byId('options', HTMLFormElement)
  const model = byId('model', HTMLSelectElement)
  const token = byId('token', HTMLInputElement)
  const opener = byId('options-button', HTMLButtonElement)
  const open = (shown: boolean) => {
    form.hidden = !shown
    opener.setAttribute('aria-expanded', String(shown))
  }
  const way = () => String(new FormData(form).get('way'))
  const showWay = () => {
    form.dataset.way = way()
  }
  opener.addEventListener('click', () => open(form.hidden))
  form.addEventListener('change', showWay)
  form.addEventListener('submit', (event) => event.preventDefault())
  model.addEventListener('change', () => onModel(model.value))
  token.addEventListener('change', onToken)
  showWay()
  return {
    fields: () =>
      fieldsOf({
        way: way(),
        beam: numberIn('beam', 3),
        count: numberIn('count', 3),
        temperature: numberIn('temperature', 1),
        seed: byId('seed', HTMLInputElement).value.trim(),
        prefix: byId('prefix', HTMLInputElement).value,
        model: model.value,
      }),
    token: () => token.value.trim(),
    askForToken() {
      open(true)
      byId('token-field', HTMLElement).hidden = false
      token.focus()
    },
    offer(models) {
      model.replaceChildren(
        ...models.map(({ id }) => make('option', { text: id, attributes: { value: id } })),
      )
      byId('model-field', HTMLElement).hidden = models.length < 2
    },
  }
}

/** The field's number, brought into its range, and whole where the field wants that. */
function numberIn(id: string, otherwise: number): number {
  const { value, valueAsNumber, min, max, step } = byId(id, HTMLInputElement)
  if (value === '' || Number.isNaN(valueAsNumber)) return otherwise
  const number = step === '1' ? Math.round(valueAsNumber) : valueAsNumber
  return Math.min(Math.max(number, Number(min)), Number(max))
}
