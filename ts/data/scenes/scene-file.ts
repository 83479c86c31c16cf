/** The file of scenes beside their pictures: its name and the shape that a reader insists on. */
import { z } from 'zod'
import { BACKGROUNDS, COLOURS, RELATIONS, type Scene, SHAPES, SIZES } from './scene.js'

/** Name of the file inside the folder. */
export const SCENES_FILE = 'scenes.json'

const unit = z.number().min(0).max(1)

const groupSchema = z.object({
  size: z.enum(SIZES),
  colour: z.enum(COLOURS),
  shape: z.enum(SHAPES),
  items: z.array(z.object({ x: unit, y: unit, turn: z.number() })).min(1),
})

const sceneSchema = z
  .object({
    id: z.string().regex(/^\d+$/),
    background: z.enum(BACKGROUNDS),
    groups: z.array(groupSchema).min(1).max(2),
    relation: z.enum(RELATIONS).nullable(),
    detail: z.int().min(0),
  })
  .refine(({ groups, relation }) => (groups.length === 2) === (relation !== null), {
    message: 'two groups need a relation, and one group has none',
  })

const fileSchema = z.object({ settings: z.object(), scenes: z.array(sceneSchema) })

/** The beginning of every file of these settings. */
export function sceneFileHead(settings: object): string {
  return `{"settings":${JSON.stringify(settings)},`
}

/** The text of a file of scenes, one scene a line. */
export function formatSceneFile(settings: object, scenes: readonly Scene[]): string {
  const lines = scenes.map((scene) => JSON.stringify(scene))
  return `${sceneFileHead(settings)}"scenes":[\n${lines.join(',\n')}\n]}\n`
}

/** The scenes of such a text. Throws Error with what is wrong, in one line. */
export function parseSceneFile(text: string): readonly Scene[] {
  const result = fileSchema.safeParse(JSON.parse(text))
  if (result.success) return result.data.scenes
  const issue = result.error.issues[0]
  throw new Error(`${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'unreadable'}`)
}
