#!/usr/bin/env node
/** `main.mjs publish` takes a JSON document a line, {topic, key, headers, value}; `main.mjs read` keeps the table. */
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import pg from 'pg'
import { Publisher, Reader, prepare } from './index.mjs'

const BATCH_MAX = 200
const EFFECTS = 'create table if not exists ratchet_effects (payment_id uuid, epoch bigint, version bigint)'
const EFFECT = 'insert into ratchet_effects (payment_id, epoch, version) values ($1, $2, $3)'

async function publish ({ bootstrap, prefix }) {
  const publisher = new Publisher(bootstrap, { prefix })
  let batch = []
  const send = async () => {
    for (const { topic, partition, offset } of await publisher.send(batch)) {
      console.log(JSON.stringify({ topic, partition, offset: Number(offset) }))
    }
    batch = []
  }
  for await (const line of createInterface({ input: process.stdin })) {
    const record = JSON.parse(line)
    batch.push({ ...record, topic: record.topic.startsWith(prefix) ? record.topic.slice(prefix.length) : record.topic })
    if (batch.length >= BATCH_MAX) await send()
  }
  if (batch.length) await send()
  await publisher.close()
}

async function read ({ bootstrap, group, dsn, prefix, topics, effects }) {
  let effect
  if (effects) {
    const client = new pg.Client({ connectionString: dsn })
    await client.connect()
    await prepare(client, EFFECTS)
    await client.end()
    effect = async (within, { payment_id: id, epoch, version }) => { await within.query(EFFECT, [id, epoch, version]) }
  }
  const reader = new Reader({ bootstrap, group, dsn, prefix, topics: topics.split(','), effect })
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => reader.stop())
  await reader.run()
}

const { values, positionals: [verb] } = parseArgs({
  allowPositionals: true,
  options: {
    bootstrap: { type: 'string' },
    prefix: { type: 'string', default: 'payments.' },
    group: { type: 'string' },
    dsn: { type: 'string' },
    topics: { type: 'string', default: 'state,changes' },
    effects: { type: 'boolean', default: false }
  }
})
const commands = { publish, read }
if (!commands[verb] || !values.bootstrap || (verb === 'read' && !(values.group && values.dsn))) {
  console.error('usage: main.mjs publish --bootstrap HOST:PORT | read --bootstrap HOST:PORT --group NAME --dsn URL')
  process.exit(2)
}
await commands[verb](values)
process.exit(0)
