// @ts-check
import { consumerOf, streamOf } from './consumer.mjs'

const OPEN_MAX = 50

/**
 * What of one membership is open, by partition in order. When the group changes, all of it is left to whoever gets the
 * partitions, and a new stream begins at what was committed.
 */
class Share {
  stop = new AbortController()
  /** @type {Map<number, {offset: bigint, done: boolean}[]>} */
  open = new Map()
  /** @type {any} */
  stream

  get count () {
    return [...this.open.values()].reduce((sum, opened) => sum + opened.length, 0)
  }

  /** Takes out what has ended; returns of each partition the offset after the last one before the first that is open. */
  ended () {
    const found = []
    for (const [partition, opened] of this.open) {
      const first = opened.findIndex((one) => !one.done)
      const gone = opened.splice(0, first < 0 ? opened.length : first)
      if (gone.length) found.push({ partition, offset: gone[gone.length - 1].offset + 1n })
    }
    return found
  }

  leave () {
    this.stop.abort()
    this.stream?.removeAllListeners('data')
    this.stream?.pause()
  }
}

/** Deals with a topic's records side by side, those of one key in order, and commits how far each partition is. */
export class Ordered {
  #topic
  #deal
  #consumer
  #share = new Share()
  /** @type {Map<string, Promise<void>>} */
  #last = new Map()
  #committing = Promise.resolve()
  #stopped = false
  /** @type {(error?: unknown) => void} */
  #changed = () => {}

  /**
   * @param {{bootstrap: string, group: string, topic: string, security: object}} of
   * @param {(record: any, signal: AbortSignal) => Promise<void>} deal it throws only what ends the run
   */
  constructor ({ bootstrap, group, topic, security }, deal) {
    this.#topic = topic
    this.#deal = deal
    this.#consumer = consumerOf({ bootstrap, group, security })
  }

  /** Deals with records until `stop` is called; an error ends it. */
  async run () {
    this.#consumer.on('consumer:group:join', () => this.#rejoined())
    try {
      while (!this.#stopped) {
        const former = this.#share.stream
        const stream = await streamOf(this.#consumer, [this.#topic])
        former?.destroy() // only now: without a stream the consumer would leave the topic
        await this.#listen(stream)
      }
    } finally {
      this.#share.leave()
      await this.#consumer.close(true)
    }
  }

  stop () {
    this.#stopped = true
    this.#changed()
  }

  #rejoined () {
    this.#share.leave()
    this.#changed()
  }

  /** Begins what comes until the group changes. */
  async #listen (stream) {
    const share = this.#share = new Share()
    share.stream = stream
    await new Promise((resolve, reject) => {
      this.#changed = (error) => error === undefined ? resolve(undefined) : reject(error)
      if (this.#stopped) return resolve(undefined)
      stream.on('error', this.#changed)
      stream.on('data', (record) => this.#begin(share, record))
    })
  }

  #begin (share, record) {
    const opened = share.open.get(record.partition) ?? []
    const one = { offset: record.offset, done: false }
    share.open.set(record.partition, [...opened, one])
    if (share.count >= OPEN_MAX) share.stream.pause()
    const key = String(record.key)
    const work = this.#after(this.#last.get(key), share, record)
    this.#last.set(key, work)
    work.then(async () => {
      if (this.#last.get(key) === work) this.#last.delete(key)
      if (share.stop.signal.aborted) return
      one.done = true
      await this.#commit(share)
      if (share.count < OPEN_MAX) share.stream.resume()
    }).catch((error) => { if (!share.stop.signal.aborted) this.#changed(error) })
  }

  /** Deals with a record once the earlier one of its key has ended; where that one failed the run ends first. */
  async #after (earlier, share, record) {
    await earlier
    if (!share.stop.signal.aborted) await this.#deal(record, share.stop.signal)
  }

  /** Commits each partition up to its first record that is open, one commit after another. */
  async #commit (share) {
    this.#committing = this.#committing.catch(() => {}).then(async () => {
      const ended = share.stop.signal.aborted ? [] : share.ended()
      const offsets = ended.map(({ partition, offset }) => ({ topic: this.#topic, partition, offset, leaderEpoch: -1 }))
      if (offsets.length) await this.#consumer.commit({ offsets })
    })
    await this.#committing
  }
}
