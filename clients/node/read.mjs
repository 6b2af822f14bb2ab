// @ts-check
import pg from 'pg'
import { consumerOf, streamOf } from './consumer.mjs'

const RECORDS_MAX = 500
const IDLE_MS = 50
/** Keeps two readers from making a table at once. */
export const LOCK = 'select pg_advisory_xact_lock(72657463)'
const TABLE = `create table if not exists ratchet_payments (
  payment_id uuid primary key, epoch bigint not null, version bigint not null, payment jsonb not null)`
const KEEP = `insert into ratchet_payments as held (payment_id, epoch, version, payment) values ($1, $2, $3, $4)
  on conflict (payment_id) do update
  set epoch = excluded.epoch, version = excluded.version, payment = excluded.payment
  where (held.epoch, held.version) < (excluded.epoch, excluded.version)`

/**
 * Runs statements in one transaction.
 * @param {pg.Client} client
 * @param {() => Promise<void>} work
 */
async function transaction (client, work) {
  await client.query('begin')
  try {
    await work()
    await client.query('commit')
  } catch (error) {
    await client.query('rollback').catch(() => {})
    throw error
  }
}

/**
 * Makes a table, once.
 * @param {pg.Client} client
 * @param {string} statement
 */
export async function prepare (client, statement) {
  await transaction(client, async () => {
    await client.query(LOCK)
    await client.query(statement)
  })
}

/**
 * Keeps a table of all payments in a Postgres of its own, from the topics `state` and `changes`.
 *
 * A record whose (epoch, version) is not above what the table holds of its payment is dropped. Row and effect are one
 * transaction, and offsets are committed after it: kill -9 at any moment leaves nothing out and does nothing twice. Where
 * an effect has to see every version, read `changes` alone. An error ends the reader; started again it goes on where its
 * last transaction was.
 */
export class Reader {
  #options
  /** @type {any} */
  #stream
  #stopped = false

  /**
   * @param {{bootstrap: string, group: string, dsn: string, prefix?: string, topics?: string[],
   *   effect?: (client: pg.Client, payment: import('./types.d.ts').Change) => Promise<void>}} options
   */
  constructor (options) {
    this.#options = { prefix: 'payments.', topics: ['state', 'changes'], ...options }
  }

  /** Reads until `stop` is called. */
  async run () {
    const { bootstrap, group, dsn, prefix, topics, effect: _, ...security } = this.#options
    const client = new pg.Client({ connectionString: dsn })
    await client.connect()
    const consumer = consumerOf({ bootstrap, group, security })
    try {
      await prepare(client, TABLE)
      this.#stream = await streamOf(consumer, topics.map((topic) => prefix + topic))
      if (!this.#stopped) await this.#read(client, consumer)
    } finally {
      await consumer.close(true)
      await client.end()
    }
  }

  stop () {
    this.#stopped = true
    this.#stream?.destroy()
  }

  /** Takes what has come, a batch at a time: a pause of the stream ends one. */
  async #read (client, consumer) {
    let batch = []
    const messages = this.#stream[Symbol.asyncIterator]()
    const after = () => messages.next().catch((error) => {
      if (this.#stopped) return { done: true, value: undefined } // the stream was ended under it
      throw error
    })
    let next = after()
    while (!this.#stopped) {
      const pause = batch.length ? new Promise((resolve) => setTimeout(resolve, IDLE_MS, 'idle')) : new Promise(() => {})
      const found = await Promise.race([next, pause])
      if (found !== 'idle') {
        if (found.done) break
        batch.push(found.value)
        next = after()
      }
      if (found === 'idle' || batch.length >= RECORDS_MAX) {
        await this.#take(client, consumer, batch)
        batch = []
      }
    }
  }

  async #take (client, consumer, batch) {
    const values = batch.map(decoded)
    // Stable, so a payment's records keep their order; two readers lock payments in the same order.
    values.sort((a, b) => (a.payment_id < b.payment_id ? -1 : Number(a.payment_id > b.payment_id)))
    await transaction(client, async () => {
      for (const value of values) {
        const kept = await client.query(KEEP, [value.payment_id, value.epoch, value.version, JSON.stringify(value)])
        if (kept.rowCount === 1) await this.#options.effect?.(client, value)
      }
    })
    const last = new Map(batch.map((one) => [`${one.topic}/${one.partition}`, one]))
    const offsets = [...last.values()].map(({ topic, partition, offset }) => (
      { topic, partition, offset: offset + 1n, leaderEpoch: -1 }))
    await consumer.commit({ offsets })
  }
}

/** Returns a record's value; what is no record of a payment names its place. */
function decoded ({ topic, partition, offset, value }) {
  try {
    const found = JSON.parse(value.toString())
    if (found.payment_id && found.epoch && found.version) return found
  } catch {}
  throw new Error(`${topic}, partition ${partition}, offset ${offset}: no record of a payment`)
}
