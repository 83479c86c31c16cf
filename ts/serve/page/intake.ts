/** The ways in which pictures come: chosen, dropped anywhere on the page, pasted. The camera is camera.ts. */
import { byId } from './element.js'
import type { Picture } from './job.js'

export function listenForPictures(take: (pictures: readonly Picture[]) => void): void {
  const chooser = byId('chooser', HTMLInputElement)
  byId('choose', HTMLButtonElement).addEventListener('click', () => chooser.click())
  chooser.addEventListener('change', () => {
    take(picturesOf(chooser.files))
    // So that the same file can be chosen again.
    chooser.value = ''
  })
  document.addEventListener('paste', (event) => {
    const pictures = picturesOf(event.clipboardData?.files)
    if (pictures.length === 0) return
    event.preventDefault()
    take(pictures)
  })
  listenForDrops(take)
}

function listenForDrops(take: (pictures: readonly Picture[]) => void): void {
  const { classList } = document.body
  const holdsFiles = (event: DragEvent) => event.dataTransfer?.types.includes('Files') === true
  document.addEventListener('dragover', (event) => {
    if (!holdsFiles(event)) return
    event.preventDefault()
    classList.add('dropping')
  })
  // Leaving the window is leaving for nothing.
  document.addEventListener('dragleave', ({ relatedTarget }) => {
    if (relatedTarget === null) classList.remove('dropping')
  })
  document.addEventListener('drop', (event) => {
    classList.remove('dropping')
    if (!holdsFiles(event)) return
    event.preventDefault()
    take(picturesOf(event.dataTransfer?.files))
  })
}

function picturesOf(files: FileList | null | undefined): Picture[] {
  return [...(files ?? [])].map((file) => ({ name: file.name || 'picture', file }))
}
