/** The live page: shows each event of /events. All that comes is put in as text. */
const element = (id) => document.getElementById(id)
const create = (name, className, text) => {
  const made = document.createElement(name)
  made.className = className
  made.textContent = text
  return made
}
const shown = new Map()
let samplesShown = ''
let ended = false

function showCharts(charts) {
  for (const chart of charts) {
    const labels = chart.series.map(({ label }) => label).join()
    const drawn = shown.get(chart.title)
    if (drawn?.labels === labels) drawn.update(chart)
    else {
      drawn?.figure.remove()
      const figure = create('figure', 'chart', '')
      const caption = create('figcaption', '', `${chart.title} `)
      caption.append(create('span', 'soft', chart.unit))
      const place = create('div', 'plot', '')
      figure.append(caption, place)
      element('charts').append(figure)
      shown.set(chart.title, { labels, figure, update: drawChart(place, chart) })
    }
  }
}

function showTiles(progress) {
  const { loss, learningRate, gradientNorm, imagesPerSecond } = progress
  const figures = [
    ['training loss, nats per token', number(loss)],
    ['learning rate', number(learningRate)],
    ['gradient norm', number(gradientNorm)],
    ['images per second', number(imagesPerSecond)],
    ['time left', duration(progress.secondsLeft)],
  ]
  element('tiles').replaceChildren(
    ...figures.map(([name, value]) => {
      const tile = create('div', 'tile', '')
      tile.append(create('b', '', value), create('span', '', name))
      return tile
    }),
  )
}

function showSamples(samples) {
  // Pictures that are put in anew would flicker.
  const text = JSON.stringify(samples)
  if (text === samplesShown) return
  samplesShown = text
  element('samples').hidden = samples.length === 0
  element('gallery').replaceChildren(
    ...samples.map(({ picture, caption, references, name, step }) => {
      const figure = create('figure', 'picture', '')
      const frame = create('div', 'frame', '')
      const image = create('img', '', '')
      image.src = picture
      image.alt = caption
      image.title = name
      frame.append(image)
      const text = create('figcaption', '', '')
      const own = create('p', 'caption', caption)
      own.dir = 'auto'
      text.append(own, create('span', 'soft', `step ${step}`))
      const list = create('ul', '', '')
      for (const reference of references.slice(0, 2)) {
        const item = create('li', '', reference)
        item.dir = 'auto'
        list.append(item)
      }
      text.append(list)
      figure.append(frame, text)
      return figure
    }),
  )
}

function number(value) {
  if (value == null) return 'not finite'
  if (value !== 0 && Math.abs(value) < 0.001) return value.toExponential(2)
  return value >= 1000 ? Math.round(value).toLocaleString('en-US') : value.toPrecision(3)
}

function duration(seconds) {
  if (!Number.isFinite(seconds)) return '–'
  const minutes = Math.floor(seconds / 60)
  if (minutes === 0) return `${Math.round(seconds)} s`
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

const endings = {
  finished: 'training has finished',
  interrupted: 'training was interrupted; it is saved and can be resumed',
  failed: 'training ended with an error',
}
const source = new EventSource('/events')
source.onmessage = ({ data }) => {
  const { charts, progress, share, samples, name, outcome } = JSON.parse(data)
  const state = element('state')
  state.classList.remove('lost')
  element('name').textContent = name
  document.title = name
  showCharts(charts)
  showSamples(samples)
  if (progress) {
    const { step, steps, epoch } = progress
    showTiles(progress)
    element('progress').value = share
    state.textContent = `step ${step.toLocaleString('en-US')} of at most ${steps.toLocaleString('en-US')}, epoch ${epoch + 1}`
  }
  if (outcome) {
    ended = true
    source.close()
    state.textContent += `: ${endings[outcome]}`
  }
}
source.onerror = () => {
  if (ended) return
  const state = element('state')
  state.textContent = 'the training cannot be reached; trying again'
  state.classList.add('lost')
}
