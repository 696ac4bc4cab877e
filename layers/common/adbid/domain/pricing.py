"""The three ways a bid is priced."""

from enum import IntEnum


class PricingModel(IntEnum):
    """Values are codes for arrays; names are what the API says."""

    CPM = 0
    CPC = 1
    CPA = 2
