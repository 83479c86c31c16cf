/** Takes a picture with the camera, in a dialog that shows what it sees. */
import { announce } from './announce.js'
import { byId, make } from './element.js'
import type { Picture } from './job.js'

/** Offers the button only where the browser lets a page use a camera: over HTTPS, or from this machine. */
export function listenForCamera(take: (pictures: readonly Picture[]) => void): void {
  const open = byId('camera', HTMLButtonElement)
  if (!navigator.mediaDevices?.getUserMedia) return
  open.hidden = false
  const dialog = byId('camera-dialog', HTMLDialogElement)
  const video = byId('camera-view', HTMLVideoElement)
  const shoot = byId('shoot', HTMLButtonElement)
  const problem = byId('camera-problem', HTMLElement)
  let stream: MediaStream | undefined

  open.addEventListener('click', async () => {
    problem.textContent = ''
    shoot.disabled = true
    dialog.showModal()
    try {
      const opened = await navigator.mediaDevices.getUserMedia({
        video: { facingMode: 'environment' },
      })
      // Closed and opened again while the browser asked: each time gets a stream of its own.
      stop()
      stream = opened
      // Closed while the browser asked.
      if (!dialog.open) return stop()
      video.srcObject = stream
      await video.play()
      shoot.disabled = false
      shoot.focus()
    } catch (error) {
      if (dialog.open) problem.textContent = reasonOf(error)
    }
  })
  const stop = () => {
    for (const track of stream?.getTracks() ?? []) track.stop()
    stream = undefined
    video.srcObject = null
  }
  dialog.addEventListener('close', stop)
  byId('camera-close', HTMLButtonElement).addEventListener('click', () => dialog.close())
  shoot.addEventListener('click', async () => {
    const file = await stillOf(video)
    dialog.close()
    announce('Picture taken')
    take([{ name: 'camera.jpg', file }])
  })
}

async function stillOf(video: HTMLVideoElement): Promise<Blob> {
  const canvas = make('canvas')
  canvas.width = video.videoWidth
  canvas.height = video.videoHeight
  canvas.getContext('2d')?.drawImage(video, 0, 0)
  return await new Promise((resolve, reject) => {
    const done = (blob: Blob | null) =>
      blob ? resolve(blob) : reject(new Error('camera: the browser gave no picture'))
    canvas.toBlob(done, 'image/jpeg', 0.92)
  })
}

function reasonOf(error: unknown): string {
  const name = error instanceof DOMException ? error.name : ''
  if (name === 'NotAllowedError') return 'The browser was not allowed to use the camera.'
  if (name === 'NotFoundError') return 'No camera was found.'
  return 'The camera cannot be used. Another program may have it.'
}
