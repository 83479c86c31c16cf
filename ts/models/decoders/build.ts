/** The decoder that a config names. */
import type { ModelConfig } from '../config.js'
import type { Decoder, DecoderFacts } from './decoder.js'
import { eirDecoder } from './eir.js'
import { lstmDecoder } from './lstm.js'
import { transformerDecoder } from './transformer.js'

export function buildDecoder(config: ModelConfig['decoder'], facts: DecoderFacts): Decoder {
  switch (config.name) {
    case 'transformer':
      return transformerDecoder(config, facts)
    case 'eir':
      return eirDecoder(config, facts)
    case 'lstm':
      return lstmDecoder(config, facts)
  }
}
