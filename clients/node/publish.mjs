// @ts-check
import { Producer, compatibilityPartitioner } from '@platformatic/kafka'

/**
 * What is published: the topic less its prefix (`events`, `intents`), key, headers and the JSON value. Its header `ce_id`
 * is the same whenever the record is sent again, which then has no second effect.
 * @typedef {{topic: string, key: string, headers: Record<string, string>, value: unknown}} Published
 * @typedef {import('./types.d.ts')} Types
 */

/**
 * Returns an event of `source` (one of RATCHET_SOURCES or RATCHET_EXECUTORS); `data` is the type that belongs to `kind`.
 * @param {string} kind
 * @param {import('./types.d.ts').MoneyMoved | import('./types.d.ts').MoneyHeld | import('./types.d.ts').PaymentTried
 *   | import('./types.d.ts').PaymentEnded | import('./types.d.ts').DisputeStands
 *   | import('./types.d.ts').CommandAnswered | import('./types.d.ts').CommandRefused} data
 * @param {{source: string, eventId: string}} of
 * @returns {Published}
 */
export function event (kind, data, { source, eventId }) {
  const headers = { ce_specversion: '1.0', ce_id: eventId, ce_source: source, ce_type: kind }
  return { topic: 'events', key: 'payment_id' in data ? data.payment_id : data.id, headers, value: data }
}

/**
 * Returns a command about the payment `asked.id`; `commandId` is the same when it is sent again.
 * @param {import('./types.d.ts').CreateRecord | import('./types.d.ts').CaptureRecord
 *   | import('./types.d.ts').CancelRecord | import('./types.d.ts').RefundRecord} asked
 * @param {string} commandId
 * @returns {Published}
 */
export function command (asked, commandId) {
  return { topic: 'intents', key: asked.id, headers: { ce_id: commandId }, value: asked }
}

/**
 * An idempotent producer that waits for all replicas. It hashes keys as Java's client does: the library's own default
 * keeps the sign bit of the hash, and differs where the number of partitions is no power of two.
 */
export class Publisher {
  #producer
  #prefix
  /** @type {Promise<unknown>} */
  #last = Promise.resolve()

  /**
   * @param {string} bootstrap
   * @param {{prefix?: string}} options
   */
  constructor (bootstrap, { prefix = 'payments.', ...security } = {}) {
    this.#prefix = prefix
    this.#producer = new Producer({
      clientId: 'ratchet-client',
      bootstrapBrokers: bootstrap.split(','),
      idempotent: true,
      acks: -1,
      partitioner: compatibilityPartitioner,
      retries: true,
      ...security
    })
  }

  /**
   * Sends records together; returns where they stand once all replicas have them: a topic, partition and first offset of
   * each of the batches that they made.
   *
   * One call after another: the library counts an idempotent producer's batches only once they are acknowledged, so two on
   * their way at once have one number, and the broker drops the second as a copy. After an error nothing more is sent, for
   * the same reason: make another publisher.
   * @param {Published[]} records
   */
  async send (records) {
    const sent = this.#last.then(() => this.#send(records))
    this.#last = sent
    return await sent
  }

  /** @param {Published[]} records */
  async #send (records) {
    const messages = records.map(({ topic, key, headers, value }) => ({
      topic: this.#prefix + topic,
      key: Buffer.from(key),
      value: Buffer.from(JSON.stringify(value)),
      headers: new Map(Object.entries(headers).map(([name, text]) => [Buffer.from(name), Buffer.from(text)]))
    }))
    const sent = await this.#producer.send({ messages })
    return sent.offsets ?? []
  }

  async close () {
    await this.#producer.close()
  }
}
