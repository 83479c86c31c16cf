/** The example pictures, as buttons. */
import { byId, make } from './element.js'
import type { Picture } from './job.js'
import type { ExamplePicture } from './reply.js'

export async function offerExamples(take: (pictures: readonly Picture[]) => void): Promise<void> {
  const reply = await fetch('examples')
  if (!reply.ok) return
  const { examples } = (await reply.json()) as { examples: readonly ExamplePicture[] }
  byId('examples', HTMLElement).hidden = examples.length === 0
  byId('example-list', HTMLElement).append(
    ...examples.map(({ url, title }) => {
      const image = make('img', { attributes: { src: url, alt: '', draggable: 'false' } })
      const choose = make(
        'button',
        {
          className: 'thumb',
          attributes: { type: 'button', title, 'aria-label': `Try the example ${title}` },
        },
        image,
      )
      choose.addEventListener('click', async () => {
        const file = await (await fetch(url)).blob()
        take([{ name: `${title}.webp`, file }])
      })
      return make('li', {}, choose)
    }),
  )
}
