/** The thread that judge-worker.ts starts: judges what it was started with, answers once, and ends. */
import { parentPort, workerData } from 'node:worker_threads'
import { type JudgeInput, judge } from './judge.js'

parentPort?.postMessage(judge(workerData as JudgeInput))
