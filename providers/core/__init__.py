"""What provider files are made of: their contract, keyed hashes, time windows, body readers.

No provider is named here. What only one provider needs belongs in that provider's own file.

- `contract` (both halves): `SignedRequest` goes into `verify`, `Notification` comes out; `interpret` gives a `Meaning`;
  `Provider` ties them together.
- `proof` (`verify`): live secrets (empty ones fail closed), keyed hashes, compares that never raise, the time window.
- `reading` (both): one tolerant JSON decoder; `text_at` walks to an identity; `storable` tells what may be an id.
- `meaning` (`interpret`): needed fields or `undecodable`, amounts in minor units, refs; `checked` guards every meaning.
- `slices` (`verify`): the own bytes of each event of a body that holds several.
- `money` (`interpret`): amounts written in major units, by the currency's ISO 4217 exponent.
- `refetch`: what an API is asked with, and what its answer is: the half of a provider that the dispatcher uses.
- `body_mac` (`verify`): the signature of one header over the raw body.
- `forms` (`verify`): forms read byte for byte, with a bound on fields.
- `slices` (`verify`): each item's own bytes of a body that holds several.
- `x509_chain` (`verify`): a certificate chain, its dates, constraints and names.

How a file uses them: `verify` calls `live_secrets` first, then checks the raw bytes, then reads the identity with
`text_at`, which gives None for whatever is not there: a genuine request is never refused for its content. `interpret`
calls `decode_or_raise` and the `need_*` readers, which raise UninterpretableError. The guards that hold for everybody
(lengths, NUL, amounts, currencies, unforeseen exceptions) stand around both, in `providers.verify` and
`providers.interpret`; a provider's file does not repeat them.
"""
