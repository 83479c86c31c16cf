/** The server's metrics in Prometheus' text format: requests, the queue, batches, the process and its event loop. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { version } from '../version.js'
import type { CaptionService } from './service.js'

export interface ServerMetrics {
  /** Of the page that Prometheus reads. */
  readonly type: string
  text(): Promise<string>
  /** @param route its pattern, never its path, so that clients cannot make new series */
  requestEnded(method: string, route: string, status: number, seconds: number): void
}

export function serverMetrics(service: CaptionService): ServerMetrics {
  const register = new Registry()
  const registers = [register]
  // The delay of the event loop is told with its timer included: 10 ms unless it is finer.
  collectDefaultMetrics({ register, eventLoopMonitoringPrecision: 2 })

  const requests = new Counter({
    name: 'captioneer_http_requests_total',
    help: 'Requests by route and status; 499: the client went away before its answer.',
    labelNames: ['method', 'route', 'status'] as const,
    registers,
  })
  const durations = new Histogram({
    name: 'captioneer_http_request_duration_seconds',
    help: 'From the first byte of a request to the last of its reply.',
    labelNames: ['route'] as const,
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    registers,
  })
  gauge(
    'captioneer_queue_length',
    'Images that wait to be captioned.',
    () => service.facts().queued,
  )
  gauge('captioneer_running', 'Images that are being captioned.', () => service.facts().running)
  gauge('captioneer_ready', '1 while new requests are taken.', () => Number(service.ready()))
  batchMetrics(service, registers)
  new Gauge({
    name: 'captioneer_model_info',
    help: 'Each model that is loaded: always 1.',
    labelNames: ['model', 'device', 'image_size', 'parameters', 'loaded_at', 'version'] as const,
    registers,
    collect() {
      this.reset()
      for (const { id, device, image, parameters, loadedAt } of service.models())
        this.set(
          { model: id, device, image_size: image.size, parameters, loaded_at: loadedAt, version },
          1,
        )
    },
  })

  function gauge(name: string, help: string, value: () => number): void {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(value())
      },
    })
  }

  return {
    type: register.contentType,
    text: () => register.metrics(),
    requestEnded: (method, route, status, seconds) => {
      requests.inc({ method, route, status })
      durations.observe({ route }, seconds)
    },
  }
}

function batchMetrics(service: CaptionService, registers: Registry[]): void {
  const labelNames = ['model'] as const
  const captions = new Counter({
    name: 'captioneer_captions_total',
    help: 'Images that went through a model; its rate is captions per second.',
    labelNames,
    registers,
  })
  const sizes = new Histogram({
    name: 'captioneer_batch_size',
    help: 'Images captioned together.',
    labelNames,
    buckets: [1, 2, 4, 8, 16, 32, 64, 128],
    registers,
  })
  const seconds = new Histogram({
    name: 'captioneer_batch_duration_seconds',
    help: 'Time that a batch was captioned.',
    labelNames,
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers,
  })
  const waited = new Histogram({
    name: 'captioneer_wait_duration_seconds',
    help: 'Time that each image waited for its batch.',
    labelNames,
    buckets: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5],
    registers,
  })
  service.onBatch(({ model, size, waitedSeconds, seconds: took }) => {
    captions.inc({ model }, size)
    sizes.observe({ model }, size)
    seconds.observe({ model }, took)
    for (const wait of waitedSeconds) waited.observe({ model }, wait)
  })
}
