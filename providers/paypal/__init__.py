"""PayPal: what it signs (`signature`) and what its events mean (`meaning`)."""

from providers.core.contract import Provider
from providers.paypal.meaning import interpret
from providers.paypal.signature import LIVE_CERTIFICATE_HOSTS, certificate_url, verify

__all__ = ["LIVE_CERTIFICATE_HOSTS", "PROVIDER", "certificate_url"]

PROVIDER = Provider(name="paypal", verify=verify, interpret=interpret)
