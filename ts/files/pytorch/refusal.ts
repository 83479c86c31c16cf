/** How every refusal of a PyTorch file reads. */
import { CheckpointError } from '../../errors.js'

/** What to do about a file that holds more than weights. */
export const savePlainly =
  "Where you trust the file, load it in Python and save its weights alone: torch.save(model.state_dict(), 'weights.pth')"

/** `reading a.pth: reason. The file is damaged ...` */
export function damaged(path: string, reason: string): CheckpointError {
  return new CheckpointError(
    `reading ${path}: ${reason}. The file is damaged or not a PyTorch checkpoint: fetch or save it again`,
  )
}

/** `reading a.pth: reason. What to do`, for a file that is well formed. */
export function refused(path: string, reason: string, advice = savePlainly): CheckpointError {
  return new CheckpointError(`reading ${path}: ${reason}. ${advice}`)
}
