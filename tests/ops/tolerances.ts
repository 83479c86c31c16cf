/** Tolerances of the op tests by dtype: relative to the largest expected value (forward) or to the norm (gradient). */
export const tolerances = {
  float32: { forward: 2e-5, gradient: 2e-4 },
} as const
