"""The bundled sample: webhooks of some hundred payments, some of them forged, late, duplicated or out of order.

`history` invents payments and says by plain arithmetic how they end; one file a provider turns a history into its
events; `plan` orders them and adds what goes wrong; `signing` seals a post as its provider would; `send` is the only
one that talks to the network. Nothing here interprets an event: the reconciliation compares with the histories alone.
"""
