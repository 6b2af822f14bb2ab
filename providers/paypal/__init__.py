"""PayPal: what it signs (`signature`), and what its events mean (`meaning`; `orders` with their `payees`; `disputes`).

`kinds` lists them; `recall` and `refetch` say how its API is asked.
"""

from providers.core.contract import NamedCertificate, Provider
from providers.paypal.kinds import CATALOGUE
from providers.paypal.meaning import interpret, interpret_part
from providers.paypal.recall import RECALL
from providers.paypal.refetch import REFETCH
from providers.paypal.signature import LIVE_CERTIFICATE_HOSTS, certificate_url, verify

__all__ = ["LIVE_CERTIFICATE_HOSTS", "PROVIDER", "certificate_url"]

PROVIDER = Provider(
    name="paypal",
    verify=verify,
    interpret=interpret,
    interpret_part=interpret_part,
    refetch=REFETCH,
    recall=RECALL,
    certificate=NamedCertificate("paypal-cert-url", certificate_url, LIVE_CERTIFICATE_HOSTS),
    catalogue=CATALOGUE,
    meaning_version=2,
    ids_span_accounts=True,
    signed_by=(
        "PayPal-Transmission-Id",
        "PayPal-Transmission-Time",
        "PayPal-Transmission-Sig",
        "PayPal-Cert-Url",
        "PayPal-Auth-Algo",
    ),
)
