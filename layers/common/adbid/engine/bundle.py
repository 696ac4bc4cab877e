"""A bundle of bids, column by column: a thousand bids are worked on as arrays, never one by one."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adbid.data.hot_keys import Place
from adbid.domain.context import CONTEXT_DIMENSIONS
from adbid.domain.evaluation import Bids
from adbid.domain.pricing import PricingModel

Bid = Mapping[str, Any]
"""One bid as the API's schema describes it (`functions.score.models.Bid`)."""

_CODES = {model.name: int(model) for model in PricingModel}


@dataclass(frozen=True, eq=False)
class Bundle:
    """Parallel sequences over the bids. `contexts`: a value per `CONTEXT_DIMENSIONS`, "" where absent."""

    ids: Sequence[str]
    brand_ids: Sequence[str]
    partner_ids: Sequence[str]
    slot_ids: Sequence[str]
    pricing_models: Sequence[str]
    currencies: Sequence[str]
    amounts: Sequence[float]
    contexts: Sequence[tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of(cls, bids: Sequence[Bid]) -> "Bundle":
        """From bids as the API's schema describes them."""
        return cls.of_columns(columns_of(bids))

    @classmethod
    def of_columns(cls, columns: Mapping[str, Sequence[Any]]) -> "Bundle":
        """From the values of each property, one per bid; only the context may be lacking."""
        absent = ("",) * len(columns["id"])
        context = [_stated(columns.get(dimension, absent)) for dimension in CONTEXT_DIMENSIONS]
        return cls(
            columns["id"],
            columns["brand_id"],
            columns["partner_id"],
            columns["slot_id"],
            columns["pricing_model"],
            columns["currency"],
            list(map(float, columns["amount"])),
            list(
                zip(*[[value or "" for value in one] if None in one else one for one in context], strict=True)
            ),
        )

    @property
    def places(self) -> list[Place]:
        """What each bid's evidence is about."""
        return list(zip(self.brand_ids, self.partner_ids, self.slot_ids, self.contexts, strict=True))

    def offers(self) -> Bids:
        """As the auction takes them."""
        slot_ids = list(dict.fromkeys(self.slot_ids))
        number = dict(zip(slot_ids, range(len(slot_ids)), strict=True))
        return Bids(
            ids=self.ids,
            slot=np.array([number[slot_id] for slot_id in self.slot_ids], dtype=np.intp),
            slot_ids=slot_ids,
            amount=np.array(self.amounts, dtype=np.float64),
            pricing=self._pricing(),
        )

    def _pricing(self) -> NDArray[np.intp]:
        return np.array([_CODES[model] for model in self.pricing_models], dtype=np.intp)


def _stated(values: Sequence[str | None]) -> Sequence[str]:
    return [value or "" for value in values] if None in values else values  # type: ignore[return-value]


def columns_of(bids: Sequence[Bid]) -> dict[str, Sequence[Any]]:
    """The values of each property, None where a bid hasn't got it."""
    first = tuple(bids[0])
    if len(first) > 1 and {*map(len, bids)} == {len(first)}:
        with suppress(KeyError):  # mostly all bids have the same properties
            return dict(zip(first, zip(*map(itemgetter(*first), bids), strict=True), strict=True))
    names = dict.fromkeys(name for bid in bids for name in bid)
    return {name: [bid.get(name) for bid in bids] for name in names}
