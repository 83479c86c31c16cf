/** A report's page: draws its charts, and lays over a picture what the model looked at for the word that is pointed at. */
document.documentElement.classList.add('drawn')
const charts = JSON.parse(document.getElementById('charts').textContent)
document.querySelectorAll('.plot').forEach((place, i) => {
  drawChart(place, charts[i])
})

for (const figure of document.querySelectorAll('.picture')) {
  const overlay = figure.querySelector('.look')
  if (!overlay) continue
  const photo = figure.querySelector('.shot img').src
  const glances = [...figure.querySelectorAll('.glance img')]
  for (const { parentElement } of glances) parentElement.style.backgroundImage = `url(${photo})`
  const words = [...figure.querySelectorAll('[data-word]')]
  const show = (place) => {
    overlay.hidden = place === undefined
    if (place !== undefined) overlay.src = glances[place].src
    for (const [i, word] of words.entries()) word.classList.toggle('looked', i === place)
  }
  for (const [i, word] of words.entries()) {
    word.addEventListener('pointerenter', () => show(i))
    word.addEventListener('pointerleave', () => show())
  }
}
