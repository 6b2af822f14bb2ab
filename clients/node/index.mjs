/** Publishes to Ratchet, reads what it publishes and carries out its commands; types.d.ts is made from its JSON Schemas. */
export { Executor, Refused } from './execute.mjs'
export { Publisher, command, event } from './publish.mjs'
export { LOCK, Reader, prepare } from './read.mjs'
