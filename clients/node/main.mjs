#!/usr/bin/env node
/**
 * `main.mjs publish` takes a JSON document a line, {topic, key, headers, value}; `main.mjs read` keeps the table;
 * `main.mjs execute` posts each command to a URL.
 */
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import pg from 'pg'
import { Executor, Publisher, Reader, Refused, prepare } from './index.mjs'

const BATCH_MAX = 200
const POST_MS = 30_000
const REFUSAL_LENGTH_MAX = 1000
/** Statuses that say no for good: the others are also what a wrong URL, a wrong key or a copy in progress gets. */
const REFUSALS = [402, 422]
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
  await untilSignal(new Reader({ bootstrap, group, dsn, prefix, topics: topics.split(','), effect }))
}

/** Posts each command, with its id as Idempotency-Key; any answer but 2xx and a refusal leaves open what became of it. */
async function execute ({ bootstrap, group, prefix, source, accounts, url }) {
  const carryOut = async (command, signal) => {
    const answer = await fetch(url, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'Idempotency-Key': command.id },
      body: JSON.stringify(command),
      signal: AbortSignal.any([signal, AbortSignal.timeout(POST_MS)])
    })
    const text = await answer.text()
    if (REFUSALS.includes(answer.status)) throw new Refused(text.slice(0, REFUSAL_LENGTH_MAX))
    if (!answer.ok) throw new Error(`${url} answered ${answer.status}`)
  }
  await untilSignal(new Executor({ bootstrap, group, prefix, source, accounts: accounts.split(','), carryOut }))
}

async function untilSignal (role) {
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => role.stop())
  await role.run()
}

const { values, positionals: [verb] } = parseArgs({
  allowPositionals: true,
  options: {
    bootstrap: { type: 'string' },
    prefix: { type: 'string', default: 'payments.' },
    group: { type: 'string' },
    dsn: { type: 'string' },
    topics: { type: 'string', default: 'state,changes' },
    effects: { type: 'boolean', default: false },
    source: { type: 'string' },
    accounts: { type: 'string' },
    url: { type: 'string' }
  }
})
const commands = { publish: [publish], read: [read, 'group', 'dsn'], execute: [execute, 'group', 'source', 'accounts', 'url'] }
const [command, ...needed] = commands[verb] ?? []
if (!command || ['bootstrap', ...needed].some((name) => !values[name])) {
  console.error('usage: main.mjs publish --bootstrap HOST:PORT | read --bootstrap HOST:PORT --group NAME --dsn URL' +
    ' | execute --bootstrap HOST:PORT --group NAME --source NAME --accounts stripe,adyen/acme --url URL')
  process.exit(2)
}
await command(values)
process.exit(0)
