// @ts-check
import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { Ordered } from './ordered.mjs'
import { Publisher, event } from './publish.mjs'

const PAUSE_MIN_MS = 500
const PAUSE_MAX_MS = 30_000
const REASON_LENGTH_MAX = 200
const EVENT_ID_LENGTH_MAX = 400
/** Breaks, controls and characters that show nothing: they have no place in a reason that people read in one line. */
const UNREADABLE =
  /[\s\x00-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\uffff]+/g

/** The provider won't carry the command out, for this reason; the client may use its money for something else. */
export class Refused extends Error {}

/** @typedef {import('./types.d.ts').CommandRecord} Command */

/**
 * Carries out the commands of some accounts, such as "stripe" and "adyen/acme", and answers them as `source`.
 *
 * `carryOut` gets each command at least once and has to be idempotent: `command.id` is the provider's idempotency key. It
 * returns once the provider has done it, and throws `Refused` where the provider won't. Any other error leaves open what
 * became of it: it is called again, after growing pauses, until that is known or `expires_at` has come. After that no
 * command is begun and none is answered.
 *
 * Commands of one payment are carried out one after another, different payments side by side. Offsets are committed up to
 * the first command that is open: after kill -9 those come again, and their answers are the same.
 */
export class Executor {
  #options
  #publisher
  #ordered

  /**
   * @param {{bootstrap: string, group: string, source: string, accounts: string[], prefix?: string, livemode?: boolean,
   *   carryOut: (command: Command, signal: AbortSignal) => Promise<void>}} options
   */
  constructor (options) {
    const { bootstrap, group, source, accounts, prefix = 'payments.', livemode, carryOut, ...security } = options
    this.#options = { source, accounts, livemode, carryOut }
    this.#publisher = new Publisher(bootstrap, { prefix, ...security })
    const of = { bootstrap, group, topic: `${prefix}commands`, security }
    this.#ordered = new Ordered(of, (record, signal) => this.#take(record, signal))
  }

  /** Carries out commands until `stop` is called. An error ends it; started again it goes on where it was. */
  async run () {
    try {
      await this.#ordered.run()
    } finally {
      await this.#publisher.close()
    }
  }

  stop () {
    this.#ordered.stop()
  }

  /** Carries out the command of one record, where it is this executor's; `signal` is aborted when somebody else gets it. */
  async #take (record, signal) {
    const command = decoded(record)
    if (!this.#wants(command) || expired(command)) return
    await this.#answer(command, 'accepted')
    for (let pause = PAUSE_MIN_MS; !await this.#known(command, signal); pause = Math.min(2 * pause, PAUSE_MAX_MS)) {
      await sleep(pause, undefined, { signal }).catch(() => {})
      if (signal.aborted) return
      if (expired(command)) return say(command, 'it expired, and nobody knows what became of it at the provider')
    }
  }

  /** Calls the function once; answers and returns true where it is known what became of the command. */
  async #known (command, signal) {
    try {
      await this.#options.carryOut(command, signal)
    } catch (error) {
      if (error instanceof Refused) {
        await this.#answer(command, 'refused', { reason: reasonOf(error) })
        return true
      }
      say(command, error)
      return false
    }
    await this.#answer(command, 'done')
    return true
  }

  #wants (command) {
    const { accounts, livemode } = this.#options
    const account = command.account ? `${command.provider}/${command.account}` : command.provider
    return accounts.includes(account) && (livemode === undefined || livemode === command.livemode)
  }

  async #answer (command, state, more = {}) {
    const value = { id: command.payment_id, command_id: command.id, ...more }
    const of = { source: this.#options.source, eventId: answerId(command.id, state) }
    await this.#publisher.send([event(`command.${state}`, value, of)])
  }
}

/** Returns why a provider refused, as one readable line. */
function reasonOf (error) {
  const text = [...error.message.replace(UNREADABLE, ' ').trim()].slice(0, REASON_LENGTH_MAX).join('')
  return text || 'refused by the provider'
}

/** Returns an answer's `ce_id`: the same whenever it is given. */
export function answerId (commandId, state) {
  const readable = `${commandId}:${state}`
  return [...readable].length <= EVENT_ID_LENGTH_MAX ? readable : createHash('sha256').update(readable).digest('hex')
}

/** @param {Command} command */
function expired (command) {
  return Date.parse(command.expires_at) <= Date.now()
}

function say (command, text) {
  console.error(`command ${command.id} of payment ${command.payment_id}: ${text}`)
}

/** Returns a record as a command; what is none names its place. */
function decoded ({ topic, partition, offset, value }) {
  try {
    const found = JSON.parse(value.toString())
    if (found.id && found.payment_id && found.command && Date.parse(found.expires_at) > 0) return found
  } catch {}
  throw new Error(`${topic}, partition ${partition}, offset ${offset}: no command`)
}
