/** Clients that send a byte now and then, to hold a server's connections for ever. */
import { connect, type Socket } from 'node:net'

export interface SlowClients {
  /** Answers so far, by status, and connections that were closed; `open` are left. */
  readonly state: () => { readonly open: number; readonly statuses: readonly number[] }
  readonly end: () => void
}

const head = 'POST /caption HTTP/1.1\r\nhost: a\r\n'
const body = `${head}content-type: multipart/form-data; boundary=x\r\ncontent-length: 100000\r\n\r\n--x\r\n`

/** Half of them never end their headers, the others not their body. */
export function startSlowClients(port: number, count: number): SlowClients {
  const statuses: number[] = []
  const sockets = new Set<Socket>()
  for (let i = 0; i < count; i++) {
    const socket = connect(port, '127.0.0.1', () => socket.write(i % 2 ? head : body))
    sockets.add(socket)
    const drip = setInterval(() => socket.write(i % 2 ? 'x: y\r\n' : 'a'), 1000)
    socket.on('error', () => {})
    socket.once('data', (bytes) => statuses.push(Number(String(bytes).slice(9, 12))))
    socket.once('close', () => {
      clearInterval(drip)
      sockets.delete(socket)
    })
  }
  return {
    state: () => ({ open: sockets.size, statuses }),
    end: () => {
      for (const socket of sockets) socket.destroy()
    },
  }
}
