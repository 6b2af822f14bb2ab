"""What provider files are made of: their contract, keyed hashes, time windows, body readers.

No code here depends on which provider it is used for. What only one provider needs belongs in that provider's own file.

- `contract` (both halves): `SignedRequest` goes into `verify`, `Notification` comes out; `interpret` gives a `Meaning`;
  `Provider` ties them together.
- `proof` (`verify`): live secrets (empty ones fail closed), keyed hashes, compares that never raise, the time window.
- `body_mac` (`verify`): the signature of one header over the raw body.
- `x509_chain` (`verify`): a certificate chain, its dates and constraints.
- `forms` (`verify`): forms read byte for byte, with a bound on fields.
- `slices` (`verify`): the own bytes of each event of a body that holds several.
- `reading` (both): one tolerant JSON decoder; `text_at` walks to an identity; `storable` tells what may be an id.
- `meaning` (`interpret`): needed fields or `undecodable`, amounts in minor units, refs; `checked` guards every meaning.
- `payments` (`interpret`): an event's object, and the facts of a payment's life, one function each.
- `money` (`interpret`): amounts in major units, or in minor units that are not those of ISO 4217.
- `silent` (`interpret`): events that are not about payments.
- `refetch`: how the dispatcher reads one payment again at the API; `objects` describes the usual kind of API.
- `recall`: how the dispatcher reads the API's list of events or objects.
- `catalogue`: every kind that a provider publishes, with what is decided about it; docs/providers is made of it.

How a file uses them: `verify` calls `live_secrets` first, then checks the raw bytes, then reads the identity with
`text_at`, which gives None for whatever is not there: a genuine request is never refused for its content. `interpret`
calls `decode_or_raise` and the `need_*` readers, which raise UninterpretableError. The guards that hold for everybody
(lengths, NUL, amounts, currencies, unforeseen exceptions) stand around both, in `providers.verify` and
`providers.interpret`; a provider's file does not repeat them.
"""
