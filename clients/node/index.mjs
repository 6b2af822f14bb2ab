/** Publishes to Ratchet and reads what it publishes; types.d.ts is made from its JSON Schemas. */
export { Publisher, command, event } from './publish.mjs'
export { LOCK, Reader, prepare } from './read.mjs'
