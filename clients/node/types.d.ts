export interface Wire {
    of_Cancel?:          Cancel;
    of_CancelRecord?:    CancelRecord;
    of_Capture?:         Capture;
    of_CaptureRecord?:   CaptureRecord;
    of_Change?:          Change;
    of_CommandAnswered?: CommandAnswered;
    of_CommandRecord?:   CommandRecord;
    of_CommandRefused?:  CommandRefused;
    of_CreateRecord?:    CreateRecord;
    of_DisputeMoved?:    DisputeMoved;
    of_DisputeStands?:   DisputeStands;
    of_Intent?:          Intent;
    of_MoneyHeld?:       MoneyHeld;
    of_MoneyMoved?:      MoneyMoved;
    of_PaymentEnded?:    PaymentEnded;
    of_PaymentTried?:    PaymentTried;
    of_Refund?:          Refund;
    of_RefundRecord?:    RefundRecord;
    of_State?:           State;
}

/**
 * Give an authorization up: the body of `cancel`. `attempt_id` is as in a capture.
 */
export interface Cancel {
    attempt_id?: null | string;
    metadata?:   { [key: string]: unknown };
    reason?:     null | string;
}

/**
 * The command `cancel`, about the payment `id`.
 */
export interface CancelRecord {
    body:    Cancel;
    client:  string;
    command: string;
    id:      string;
}

/**
 * Take authorized money: the body of `capture`. No `amount`: all that is left.
 *
 * `attempt_id` names which of the payment's attempts is meant; it is needed where several
 * have room.
 */
export interface Capture {
    amount?:     number | null;
    attempt_id?: null | string;
    currency?:   null | string;
    metadata?:   { [key: string]: unknown };
}

/**
 * The command `capture`, about the payment `id`.
 */
export interface CaptureRecord {
    body:    Capture;
    client:  string;
    command: string;
    id:      string;
}

/**
 * The JSON value of a record of `payments.changes`. Amounts are minor units of `currency`.
 *
 * First what happened: `source` and `event_id` name the event that changed the payment,
 * `event_type` is its provider's
 * name for it, `event_amount` the event's own figure. `occurred_at` is what the provider
 * says, `recorded_at` when the
 * ledger row was written. A change without an event of its own (an attempt was adopted or
 * released, a payment turned
 * out to be another one) has the source `ratchet` and the event id `payment_id:version`.
 *
 * `epoch` is another, larger number after the database was restored or a replica promoted:
 * from there versions count
 * anew, and may be given again with other contents.
 *
 * Then, from `provider` on, how the payment stood when the record was sent, which may be
 * later. `livemode` is false of
 * test money, `metadata` is what the client noted on its intent. Payments that have neither
 * `intent_id` nor
 * `merged_into` add up to all the money there is.
 */
export interface Change {
    account:          string;
    amount:           number;
    authorized:       number;
    captured:         number;
    client:           null | string;
    created_at:       string;
    currency:         null | string;
    dispute_status:   DisputeStatus;
    disputed:         number;
    epoch:            number;
    event_amount:     number | null;
    event_id:         string;
    event_type:       string;
    flags:            Flag[];
    from_status:      Status | null;
    intent_id:        null | string;
    livemode:         boolean;
    merchant_account: string;
    merged_into:      null | string;
    metadata:         { [key: string]: unknown } | null;
    occurred_at:      null | string;
    outcome:          Outcome;
    payment_id:       string;
    provider:         string;
    provider_ref:     null | string;
    recorded_at:      string;
    reference:        null | string;
    refund_status:    RefundStatus;
    refunded:         number;
    source:           string;
    status:           Status;
    to_status:        Status | null;
    version:          number;
}

/**
 * Where that dispute of the payment stands that needs somebody first.
 */
export type DisputeStatus = "none" | "inquiry" | "open" | "under_review" | "won" | "lost" | "prevented";

/**
 * What of a payment does not add up, derived from its facts; it goes when the missing fact
 * comes.
 */
export type Flag = "over_captured" | "over_refunded" | "underpaid" | "amount_differs" | "paid_again" | "other_currency" | "contradiction";

/**
 * Where a payment stands; derived from its facts, never moved.
 */
export type Status = "created" | "requires_action" | "processing" | "authorized" | "partially_captured" | "captured" | "failed" | "canceled" | "expired";

/**
 * What one event did to its payment; the ledger's column.
 */
export type Outcome = "applied" | "noop" | "late" | "conflict";

/**
 * How much of the captured money went back.
 */
export type RefundStatus = "none" | "pending" | "partial" | "full";

/**
 * What became of a command. `id` is the payment's id and `command_id` the command's
 * `ce_id`, as it had them.
 */
export interface CommandAnswered {
    command_id: string;
    id:         string;
}

/**
 * The JSON value of a record of `payments.commands`. Amounts are minor units of `currency`;
 * a cancel has none.
 *
 * `id` tells commands apart and is the provider's idempotency key: of one that the API took
 * a UUID, else the `ce_id`
 * that its publisher gave. `attempt_id` and `provider_ref` name the payment at the provider
 * that it is for; they stay
 * what they are, whatever becomes of it. `payment_id` is the client's: another one where an
 * intent has attempts.
 * `reference` is the client's own name of the payment; `reason` and `metadata` are what it
 * noted on the command.
 */
export interface CommandRecord {
    account:          string;
    amount:           number | null;
    asked_at:         string;
    attempt_id:       string;
    client:           string;
    command:          CommandName;
    currency:         null | string;
    expires_at:       string;
    id:               string;
    livemode:         boolean;
    merchant_account: string;
    metadata:         { [key: string]: unknown } | null;
    payment_id:       string;
    provider:         string;
    provider_ref:     null | string;
    reason:           null | string;
    reference:        null | string;
}

export type CommandName = "capture" | "cancel" | "refund";

/**
 * The command won't be carried out, for this reason; the money that it asked for is free
 * again.
 */
export interface CommandRefused {
    command_id: string;
    id:         string;
    reason:     string;
}

/**
 * The command `create`, about the payment `id`.
 */
export interface CreateRecord {
    body:    Intent;
    client:  string;
    command: string;
    id:      string;
}

/**
 * A payment that a client wants: the body of `create`. `amount` is minor units of
 * `currency`.
 *
 * `merchant_account` may be left out where the endpoint has one; `livemode` is the
 * endpoint's mode unless given.
 */
export interface Intent {
    account?:          string;
    amount:            number;
    capture?:          CaptureEnum;
    currency:          string;
    livemode?:         boolean | null;
    merchant_account?: string;
    metadata?:         { [key: string]: unknown };
    phone?:            null | string;
    provider:          string;
    provider_ref?:     null | string;
    reference?:        null | string;
}

export type CaptureEnum = "automatic" | "manual";

/**
 * The dispute `id` took `amount`, or gave it back.
 */
export interface DisputeMoved {
    amount:     number;
    currency:   string;
    id:         string;
    livemode?:  boolean;
    payment_id: string;
    reference?: null | string;
}

/**
 * Where the dispute `id` stands.
 */
export interface DisputeStands {
    id:         string;
    livemode?:  boolean;
    payment_id: string;
    reference?: null | string;
}

/**
 * `amount` is reserved, in all: a second one with more raises it.
 */
export interface MoneyHeld {
    amount:     number;
    currency:   string;
    livemode?:  boolean;
    payment_id: string;
    reference?: null | string;
}

/**
 * One capture or refund, of `amount`; `id` names it, so that a second one is distinguished
 * from a copy.
 */
export interface MoneyMoved {
    amount:     number;
    currency:   string;
    id:         string;
    livemode?:  boolean;
    payment_id: string;
    reference?: null | string;
}

/**
 * The payment was ended: what is held for it is free.
 */
export interface PaymentEnded {
    livemode?:  boolean;
    payment_id: string;
    reference?: null | string;
}

/**
 * Where a try to pay stands. `id` names the try where a payment has several; `amount` is
 * what it asks for.
 */
export interface PaymentTried {
    amount?:    number | null;
    currency?:  null | string;
    id?:        null | string;
    livemode?:  boolean;
    payment_id: string;
    reference?: null | string;
}

/**
 * Give captured money back: the body of `refund`. `amount` and `attempt_id` are as in a
 * capture.
 */
export interface Refund {
    amount?:     number | null;
    attempt_id?: null | string;
    currency?:   null | string;
    metadata?:   { [key: string]: unknown };
    reason?:     null | string;
}

/**
 * The command `refund`, about the payment `id`.
 */
export interface RefundRecord {
    body:    Refund;
    client:  string;
    command: string;
    id:      string;
}

/**
 * The JSON value of a record of `payments.state`: how a payment stands at its newest
 * version.
 *
 * The topic keeps the newest record of each payment, by key. A payment that turned out to
 * be another one stays, with
 * `merged_into`; nothing is ever removed.
 */
export interface State {
    account:          string;
    amount:           number;
    authorized:       number;
    captured:         number;
    client:           null | string;
    created_at:       string;
    currency:         null | string;
    dispute_status:   DisputeStatus;
    disputed:         number;
    epoch:            number;
    flags:            Flag[];
    intent_id:        null | string;
    livemode:         boolean;
    merchant_account: string;
    merged_into:      null | string;
    metadata:         { [key: string]: unknown } | null;
    payment_id:       string;
    provider:         string;
    provider_ref:     null | string;
    reference:        null | string;
    refund_status:    RefundStatus;
    refunded:         number;
    status:           Status;
    version:          number;
}
