/**
 * Checkpoints of sgrvinod's Show, Attend and Tell tutorial and those who followed it (`BEST_checkpoint_*.pth.tar`): whole
 * Python objects, which nothing but that Python program can read. This says so, and what to do.
 */
import { CheckpointError } from '../errors.js'
import { readTensorFile } from '../files/tensor-file.js'

const script = `
  import torch                                    # in the folder with the tutorial's models.py
  checkpoint = torch.load('CHECKPOINT', map_location='cpu', weights_only=False)
  torch.save({part: checkpoint[part].state_dict() for part in ('encoder', 'decoder')}, 'weights.pth')`

/**
 * Always throws: there is nothing in such a file that can be converted as it is.
 * @throws CheckpointError with the reason and the way out
 */
export async function refuseSat(path: string): Promise<never> {
  const reason = await readTensorFile(path, 'encoder').then(
    () => undefined,
    (error: unknown) => {
      if (error instanceof CheckpointError) return error
      throw error
    },
  )
  if (reason === undefined)
    throw new CheckpointError(
      `convert sat ${path}: the file holds plain weights already. Convert its encoder with: ` +
        `captioneer convert weights ${path} --key encoder --encoder resnet101 --out resnet101.safetensors`,
    )
  throw new CheckpointError(
    `${reason.message}\nCheckpoints of the Show, Attend and Tell tutorial are whole Python objects (encoder, decoder and ` +
      `optimizers), and reading them means running what they say. Where you trust the file, take its weights out once:\n${script.replace('CHECKPOINT', path)}\n\n` +
      'then: captioneer convert weights weights.pth --key encoder --encoder resnet101 --out resnet101.safetensors',
    { cause: reason },
  )
}
