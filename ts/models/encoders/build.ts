/** The encoder that a config names. */
import type { ModelConfig } from '../config.js'
import { efficientNet } from './efficientnet.js'
import type { Encoder } from './encoder.js'
import { mobilenetV2 } from './mobilenet.js'
import { resnet } from './resnet.js'
import { tiny } from './tiny.js'
import { visionTransformer } from './vit.js'
import { postNormVisionTransformer } from './vit-postnorm.js'

/**
 * @param size of images, pixels
 * @throws ArgumentError when a vision transformer's patches do not fill the image
 */
export function buildEncoder(config: ModelConfig['encoder'], size: number): Encoder {
  const { name, dropout } = config
  switch (name) {
    case 'tiny':
      return tiny(config)
    case 'mobilenet_v2':
      return mobilenetV2(config)
    case 'resnet18':
    case 'resnet34':
    case 'resnet50':
    case 'resnet101':
    case 'resnet152':
      return resnet(name, config)
    case 'efficientnet_b0':
    case 'efficientnet_b1':
    case 'efficientnet_b2':
    case 'efficientnet_b3':
      return efficientNet(name, config)
    case 'vit_b_16':
    case 'vit_s_16':
      return visionTransformer(name, size, dropout)
    case 'vit_postnorm_16':
      return postNormVisionTransformer(size, dropout)
  }
}
