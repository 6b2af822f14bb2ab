"""Currencies that a payment can be in: ISO 4217 list one, with the decimals of their minor unit. The one table.

Units of account (XAU, XDR, XAD, ...), bond units and codes for testing are no currencies to pay in.
"""

from __future__ import annotations

from typing import Final

_DECIMALS: Final = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: """AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW
        CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR
        ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV
        MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD
        SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG""",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
DECIMALS: Final = {code: decimals for decimals, codes in _DECIMALS.items() for code in codes.split()}
"""Currency code -> how many decimals its minor unit has: 1050 minor units of EUR (2) are 10.50."""
USUAL_DECIMALS: Final = 2


def exponent(currency: str) -> int:
    """Return how many decimals a currency's minor unit has; 2 for a code that is not in the list (any more).

    A provider that counts otherwise says so in its own file.
    """
    return DECIMALS.get(currency, USUAL_DECIMALS)
