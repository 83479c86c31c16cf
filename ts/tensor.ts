/**
 * Tensor: an n-dimensional array on a device; and the scopes that free it.
 * Every tensor belongs to the innermost scope and is freed when that scope ends, unless it is kept. Freeing never
 * waits for the garbage collector: finalizers run too late to bound memory in a loop. Kernels are in native.ts.
 */
import {
  ArgumentError,
  DisposedError,
  DtypeError,
  internalError,
  OutOfMemoryError,
  ShapeError,
  shapeText,
} from './errors.js'
import { type Device, dtypeCodes, type MemoryFacts } from './native.js'

export type Dtype = 'float32' | 'bfloat16' | 'int32' | 'uint8'
export type Shape = readonly number[]
/** What `read()` gives for each dtype; bfloat16 comes as its 16 bits. */
export type HostArray = Float32Array | Uint16Array | Int32Array | Uint8Array

const bytesOf: Readonly<Record<Dtype, number>> = { float32: 4, bfloat16: 2, int32: 4, uint8: 1 }

/** Number of elements of a shape. */
export function sizeOf(shape: Shape): number {
  return shape.reduce((product, size) => product * size, 1)
}

/** An n-dimensional array on a device, row-major. Made by `empty`, `tensor`, `zeros` and ops. */
export class Tensor {
  readonly shape: Shape
  readonly dtype: Dtype
  readonly device: Device
  /** Elements between the starts of two rows of the last axis; more than its size for a view of some columns. */
  readonly rowStride: number
  #id: number
  #references = 1

  /** @internal */
  constructor(id: number, shape: Shape, dtype: Dtype, device: Device, rowStride?: number) {
    this.#id = id
    this.shape = shape
    this.dtype = dtype
    this.device = device
    this.rowStride = rowStride ?? shape[shape.length - 1] ?? 1
    live.add(this)
    scopes.at(-1)?.adopt(this)
  }

  /** The native handle. @throws DisposedError after the tensor was freed */
  get id(): number {
    if (this.#references === 0)
      throw new DisposedError(
        `tensor ${shapeText(this.shape)} ${this.dtype} was used after it was freed. ` +
          'Keep it beyond its scope with scope.keep(tensor)',
      )
    return this.#id
  }

  get disposed(): boolean {
    return this.#references === 0
  }

  get size(): number {
    return sizeOf(this.shape)
  }

  get bytes(): number {
    return this.size * bytesOf[this.dtype]
  }

  /** One more owner; each owner calls `release` (or `dispose`) once. */
  retain(): this {
    void this.id
    this.#references++
    return this
  }

  /** One owner less; the last one frees the memory. Nothing happens on a freed tensor. */
  release(): void {
    if (this.#references === 0 || --this.#references > 0) return
    live.delete(this)
    this.device.native.free(this.#id)
  }

  [Symbol.dispose](): void {
    this.release()
  }

  /**
   * Copies the elements to the host once all queued work is done.
   * @throws the first error of the work before it (OutOfMemoryError, DeviceError, ...)
   */
  async read(): Promise<HostArray> {
    if (!isContiguous(this))
      throw new ArgumentError('read: make a view of columns contiguous first')
    const buffer = await this.device.native.read(this.id)
    if (this.dtype === 'float32') return new Float32Array(buffer)
    if (this.dtype === 'bfloat16') return new Uint16Array(buffer)
    if (this.dtype === 'int32') return new Int32Array(buffer)
    return new Uint8Array(buffer)
  }

  /** The elements of a float32 or bfloat16 tensor. @throws DtypeError for another dtype */
  async readFloats(): Promise<Float32Array> {
    const data = await this.read()
    if (data instanceof Float32Array) return data
    if (data instanceof Uint16Array)
      return new Float32Array(Uint32Array.from(data, (bits) => bits << 16).buffer)
    throw new DtypeError(
      `readFloats: expected a float32 or bfloat16 tensor, received ${this.dtype}`,
    )
  }

  /** Overwrites the elements from the host; the array may be changed right afterwards. */
  write(data: HostArray): void {
    checkHostArray(data, this.shape, this.dtype)
    this.device.native.write(this.id, data)
  }
}

export function isContiguous(t: Tensor): boolean {
  return t.rowStride === (t.shape[t.shape.length - 1] ?? 1)
}

/** Owns the tensors made while it is the innermost scope. `using s = tensorScope()` ends it with the block. */
export class Scope {
  readonly #tensors: Tensor[] = []
  #ended = false

  constructor() {
    scopes.push(this)
  }

  /** @internal */
  adopt(tensor: Tensor): void {
    this.#tensors.push(tensor)
  }

  /** Hands a tensor to the scope outside this one (to nobody, when this is the outermost). */
  keep<T extends Tensor>(tensor: T): T {
    const at = this.#tensors.lastIndexOf(tensor)
    if (at >= 0) {
      this.#tensors.splice(at, 1)
      scopes[scopes.indexOf(this) - 1]?.adopt(tensor)
    }
    return tensor
  }

  /** Frees what was not kept. */
  end(): void {
    if (this.#ended) return
    if (scopes.at(-1) !== this)
      throw internalError('scope: ended while a scope inside it was open; scopes are synchronous')
    this.#ended = true
    scopes.pop()
    for (const tensor of this.#tensors) tensor.release()
    this.#tensors.length = 0
  }

  [Symbol.dispose](): void {
    this.end()
  }
}

const scopes: Scope[] = []
const live = new Set<Tensor>()

/** Opens a scope; end it with `using` or `end()`. Never hold it across an await. */
export function tensorScope(): Scope {
  return new Scope()
}

/**
 * Runs `body` in a scope of its own and frees what it made, except the tensors found in what it returns (a tensor,
 * or arrays and plain objects of them).
 */
export function scope<T>(body: (scope: Scope) => T): T {
  using current = new Scope()
  const result = body(current)
  if (result instanceof Promise)
    throw new ArgumentError('scope: the body must be synchronous; await outside of it')
  for (const tensor of tensorsIn(result)) current.keep(tensor)
  return result
}

/**
 * Runs `body` as `scope` does, but the tensors in its result belong to the caller alone, whatever scopes are open: for
 * what outlives them across an await.
 */
export function unscoped<T>(body: () => T): T {
  using _ = new Scope()
  const result = body()
  for (const t of tensorsIn(result)) t.retain()
  return result
}

/** Gives one reference of `t` to the innermost scope, which will release it. */
export function adopt<T extends Tensor>(t: T): T {
  scopes.at(-1)?.adopt(t)
  return t
}

/** Every tensor in nested arrays and plain objects, in order. */
export function* tensorsIn(value: unknown): Generator<Tensor> {
  if (value instanceof Tensor) yield value
  else if (Array.isArray(value)) for (const item of value) yield* tensorsIn(item)
  else if (value && typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype)
    for (const item of Object.values(value)) yield* tensorsIn(item)
}

/** Uninitialised tensor. @throws OutOfMemoryError */
export function empty(shape: Shape, dtype: Dtype, device: Device): Tensor {
  checkSizes('empty', shape)
  return own(device.native.allocate(shape, dtypeCodes[dtype]), shape, dtype, device)
}

function own(id: number, shape: Shape, dtype: Dtype, device: Device): Tensor {
  if (id === 0) throw new OutOfMemoryError(outOfMemory(shape, dtype, device))
  return new Tensor(id, shape, dtype, device)
}

export function zeros(shape: Shape, dtype: Dtype, device: Device): Tensor {
  const out = empty(shape, dtype, device)
  if (dtype === 'uint8') out.write(new Uint8Array(out.size))
  else device.kernels.fill(out, 0)
  return out
}

/** `t` in a dtype: a converted copy, or `t` itself when it has that dtype. */
export function cast(t: Tensor, dtype: Dtype): Tensor {
  if (t.dtype === dtype) return t
  const out = empty(t.shape, dtype, t.device)
  t.device.kernels.copy(out, t)
  return out
}

/**
 * Tensor with the elements of `data`; plain arrays become float32 unless a dtype is given. In a captured step it is a
 * constant, which the step must not change (capture.ts).
 */
export function tensor(
  data: HostArray | readonly number[],
  shape: Shape,
  device: Device,
  dtype?: Dtype,
): Tensor {
  const array = isHostArray(data)
    ? data
    : dtype === 'int32'
      ? Int32Array.from(data)
      : dtype === 'uint8'
        ? Uint8Array.from(data)
        : Float32Array.from(data)
  const actual = dtype ?? dtypeOfArray(array)
  checkSizes('tensor', shape)
  checkHostArray(array, shape, actual)
  return own(device.native.upload(shape, dtypeCodes[actual], array), shape, actual, device)
}

/**
 * Another shape over the same memory: `offset` elements in, rows of the last axis `rowStride` apart.
 * The memory lives until the last view of it is freed.
 */
export function view(t: Tensor, shape: Shape, offset = 0, rowStride?: number): Tensor {
  const columns = shape[shape.length - 1] ?? 1
  const stride = rowStride ?? columns
  const id = t.device.native.view(t.id, shape, dtypeCodes[t.dtype], offset, stride)
  return new Tensor(id, shape, t.dtype, t.device, stride)
}

/** Live tensors and bytes of a device: both return to where they were after every public call. */
export function memory(device: Device): MemoryFacts {
  return device.native.memory()
}

function outOfMemory(shape: Shape, dtype: Dtype, device: Device): string {
  const facts = device.native.memory()
  const largest = [...live]
    .filter((t) => t.device === device)
    .reduce<Tensor | undefined>((a, b) => (a && a.bytes >= b.bytes ? a : b), undefined)
  const where = device.name === 'cuda' ? 'GPU memory' : 'memory'
  const alive = largest
    ? `${facts.liveTensors} tensors alive (largest: ${shapeText(largest.shape)} ${gib(largest.bytes)})`
    : 'no tensors alive'
  return (
    `out of ${where}: asked for ${gib(sizeOf(shape) * bytesOf[dtype])} for ${shapeText(shape)} ${dtype}; ` +
    `${gib(facts.availableBytes)} of ${gib(facts.totalBytes)} free, ${alive}. Use a smaller batch size`
  )
}

function gib(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(2)} GiB`
}

function isHostArray(data: HostArray | readonly number[]): data is HostArray {
  return ArrayBuffer.isView(data)
}

function dtypeOfArray(array: HostArray): Dtype {
  if (array instanceof Float32Array) return 'float32'
  if (array instanceof Int32Array) return 'int32'
  return array instanceof Uint16Array ? 'bfloat16' : 'uint8'
}

function checkSizes(what: string, shape: Shape): void {
  for (const size of shape)
    if (!Number.isInteger(size) || size < 0)
      throw new ShapeError(`${what}: ${shapeText(shape)} holds a size that is no whole number`)
}

function checkHostArray(data: HostArray, shape: Shape, dtype: Dtype): void {
  if (dtypeOfArray(data) !== dtype)
    throw new DtypeError(`tensor: ${dtype} elements cannot come from a ${data.constructor.name}`)
  if (data.length !== sizeOf(shape))
    throw new ShapeError(
      `tensor: shape ${shapeText(shape)} holds ${sizeOf(shape)} elements, received ${data.length}`,
    )
}
