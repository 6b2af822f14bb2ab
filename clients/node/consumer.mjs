// @ts-check
import { Consumer } from '@platformatic/kafka'

/** A member that was killed has its partitions taken over so soon; the library's own defaults are one and two minutes. */
const SESSION_MS = 10_000
const REBALANCE_MS = 30_000
const HEARTBEAT_MS = 3_000

/**
 * Returns a member of a group that commits by hand; `security` are the library's own settings of TLS and SASL.
 * @param {{bootstrap: string, group: string, security: object}} of
 */
export function consumerOf ({ bootstrap, group, security }) {
  return new Consumer({
    clientId: 'ratchet-client',
    groupId: group,
    bootstrapBrokers: bootstrap.split(','),
    autocommit: false,
    sessionTimeout: SESSION_MS,
    rebalanceTimeout: REBALANCE_MS,
    heartbeatInterval: HEARTBEAT_MS,
    ...security
  })
}

/**
 * Returns a stream of what the group has not committed yet, from the topics' first records on.
 * @param {Consumer} consumer
 * @param {string[]} topics
 */
export function streamOf (consumer, topics) {
  return consumer.consume({ topics, mode: 'committed', fallbackMode: 'earliest' })
}
