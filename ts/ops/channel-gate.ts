/** Channels of a map scaled by a gate: the end of a squeeze-and-excitation block. */
import { axes, defineOp, expectShape } from './define-op.js'

/**
 * out = x * sigmoid(gate), the gate of each image and channel the same for all pixels.
 *
 * @param x    [B, H, W, C]
 * @param gate [B, 1, 1, C] before the sigmoid
 * @returns    [B, H, W, C]
 * @throws ShapeError when the shapes do not fit together
 * Source: Hu et al. 2017, arXiv:1709.01507, equations 3 and 4.
 */
export const channelGate = defineOp({
  name: 'channelGate',
  inputs: ['x', 'gate'],
  shape: ({ x, gate }) => {
    const [B = 0, , , C = 0] = axes('channelGate', 'x', x, 4)
    expectShape('channelGate', 'gate', gate, [B, 1, 1, C], 'x')
    return { shape: x.shape }
  },
  forward: (k, out, { x, gate }) => k.channelGate(out, x, gate),
  saves: ['x', 'gate'],
  backward: ({ k, grad, gradOf, saved: { x, gate } }) => {
    const dx = gradOf('x')
    const dgate = gradOf('gate')
    k.channelGateBackward(dx, dgate, grad, x, gate)
    return { x: dx, gate: dgate }
  },
})
