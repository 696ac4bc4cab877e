"""An artefact comes back as it was written, or it is refused with the reason."""

import hashlib
import json
import math
import struct
from collections.abc import Callable
from functools import cache
from typing import Any

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adbid.domain.errors import AdBidError
from adbid.ml.artefact import (
    FORMAT_VERSION,
    ArtefactError,
    Corrupt,
    NotAnArtefact,
    TooNew,
    Truncated,
    dump,
    load,
)
from adbid.ml.export import forest_from_lightgbm
from adbid.ml.forest import Forest
from adbid.ml.trees import Trees
from tests.unit.ml.boosters import edge_rows, train

HEADER = 56
METADATA = {
    "target": "revenue",
    "trained": ["2024-01-01", "2024-01-31"],
    "metrics": {"d²": 0.65},
    "schema": "ab12",
}


@cache
def booster(rounds: int = 3) -> lightgbm.Booster:
    return train({"objective": "tweedie", "num_leaves": 8, "min_data_in_leaf": 1, "seed": 32}, rounds=rounds)


@cache
def forest() -> Forest:
    return forest_from_lightgbm(booster().model_to_string())


@cache
def blob() -> bytes:
    arrays = {
        "dual": np.array([0.5, -0.0, math.inf]),
        "grid": np.arange(6.0).reshape(2, 3),
        "none": np.empty(0),
    }
    return dump(metadata=METADATA, ensembles={"revenue": forest(), "quality": forest()}, arrays=arrays)


def test_comes_back_as_it_was_written() -> None:
    artefact = load(blob())
    assert artefact.metadata == METADATA
    assert sorted(artefact.ensembles) == ["quality", "revenue"]
    assert artefact.arrays["grid"].tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    assert artefact.arrays["dual"].tobytes() == np.array([0.5, -0.0, math.inf]).tobytes()
    assert artefact.arrays["none"].shape == (0,)
    rows = edge_rows(booster(), np.random.default_rng(0), 300)
    trees = artefact.ensembles["revenue"]
    assert trees.forest.feature_names == forest().feature_names
    np.testing.assert_array_equal(trees.predict(rows), Trees(forest()).predict(rows))
    np.testing.assert_array_equal(trees.raw(rows), booster().predict(rows, raw_score=True))


def test_the_same_contents_are_the_same_bytes_and_the_digest_names_them() -> None:
    again = dump(
        metadata=dict(reversed(METADATA.items())),
        ensembles={"quality": forest(), "revenue": forest()},
        arrays=dict(reversed(load(blob()).arrays.items())),
    )
    assert again == blob()
    other = dump(metadata=METADATA | {"schema": "cd34"}, ensembles={})
    assert load(other).digest != load(blob()).digest == load(again).digest


def test_is_laid_out_as_documented() -> None:
    magic, version, header_length, length = struct.unpack_from("<8sIIQ", blob())
    assert (magic, version, length) == (b"ADBIDMDL", FORMAT_VERSION, len(blob()))
    assert blob()[24:HEADER] == hashlib.sha256(blob()[:24] + blob()[HEADER:]).digest()
    header = json.loads(blob()[HEADER : HEADER + header_length])
    offset, kind, shape = header["arrays"]["grid"]
    start = HEADER + header_length + offset
    assert (kind, shape, start % 8) == ("<f8", [2, 3], 0)
    assert struct.unpack_from("<6d", blob(), start) == (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)


def test_loaded_arrays_cannot_be_written_to() -> None:
    with pytest.raises(ValueError, match="read-only"):
        load(blob()).arrays["grid"][0, 0] = 1.0


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_cut_short_anywhere(data: st.DataObject) -> None:
    length = data.draw(st.integers(0, len(blob()) - 1))
    with pytest.raises(Truncated):
        load(blob()[:length])


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_altered_anywhere(data: st.DataObject) -> None:
    places = st.one_of(st.integers(0, HEADER + 8), st.integers(0, len(blob()) - 1))
    place, mask = data.draw(places), data.draw(st.integers(1, 255))
    altered = bytearray(blob())
    altered[place] ^= mask
    with pytest.raises(ArtefactError) as refusal:
        load(bytes(altered))
    if place >= 24:
        assert type(refusal.value) is Corrupt


def test_what_follows_the_end_is_refused() -> None:
    with pytest.raises(Corrupt):
        load(blob() + b"\0")


def test_a_later_format_is_refused_though_its_checksum_is_right() -> None:
    with pytest.raises(TooNew, match=f"format {FORMAT_VERSION + 1}") as refusal:
        load(resigned(blob()[HEADER:], version=FORMAT_VERSION + 1))
    assert refusal.value.code == "artefact_too_new"


@pytest.mark.parametrize("data", [b"{}", b"PK\x03\x04" + bytes(100), b"ADBIDMDX" + bytes(100)])
def test_something_else_is_refused(data: bytes) -> None:
    with pytest.raises(NotAnArtefact):
        load(data)


def test_every_refusal_has_its_code() -> None:
    codes = {error.CODE for error in (NotAnArtefact, TooNew, Truncated, Corrupt, ArtefactError)}
    assert len(codes) == 5
    assert issubclass(ArtefactError, AdBidError)


def _shorten_tree(header: dict[str, Any]) -> None:
    header["ensembles"]["revenue"]["arrays"]["leaf_value"][2] = [1]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda header: header.pop("arrays"),
        lambda header: header.update(metadata=3),
        lambda header: header["arrays"]["grid"].__setitem__(0, 10**9),
        lambda header: header["arrays"]["grid"].__setitem__(0, -8),
        lambda header: header["arrays"]["grid"].__setitem__(1, "<f4"),
        lambda header: header["arrays"]["grid"].__setitem__(2, [2, -3]),
        lambda header: header["arrays"]["grid"].__setitem__(2, [10**30]),
        lambda header: header["arrays"]["grid"].pop(),
        lambda header: header["ensembles"]["revenue"].update(link="probit"),
        lambda header: header["ensembles"]["revenue"].update(features=["one"]),
        lambda header: header["ensembles"]["revenue"]["arrays"].pop("node_kind"),
        _shorten_tree,
    ],
)
def test_contents_that_contradict_each_other_are_refused_though_signed(
    spoil: Callable[[dict[str, Any]], object],
) -> None:
    header_length = struct.unpack_from("<I", blob(), 12)[0]
    header = json.loads(blob()[HEADER : HEADER + header_length])
    spoil(header)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with pytest.raises(Corrupt):
        load(resigned(text + blob()[HEADER + header_length :], header_length=len(text)))


@pytest.mark.parametrize(
    ("name", "index", "value"),
    [
        ("node_feature", 0, 99),
        ("node_first", 1, 7),
        ("node_middle", 0, 0),
        ("node_end", 0, 1),
        ("tree_leaves", 0, 65),
        ("tree_leaves", 0, 0),
        ("node_threshold", 0, math.nan),
        ("leaf_value", 0, math.inf),
        ("category_start", 0, 1),
    ],
)
def test_trees_that_are_none_are_refused(name: str, index: int, value: float) -> None:
    arrays = dict(vars(forest()))
    arrays[name] = arrays[name].copy()
    arrays[name][index] = value
    with pytest.raises(ValueError, match=r".+"):
        Forest(**arrays)


@pytest.mark.parametrize("metadata", [{"at": math.nan}, {"model": object()}])
def test_metadata_must_be_json(metadata: dict[str, object]) -> None:
    with pytest.raises((TypeError, ValueError)):
        dump(metadata=metadata, ensembles={})


def test_is_small() -> None:
    """200 trees of 31 leaves on 15 features stay well under a megabyte."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(4000, 15))
    label = rng.gamma(1.0, np.exp(np.sin(rows[:, :8]).sum(axis=1)))
    params = {"objective": "tweedie", "num_leaves": 31, "max_depth": 6, "verbose": -1, "num_threads": 1}
    grown = lightgbm.train(params, lightgbm.Dataset(rows, label), 200)
    large = forest_from_lightgbm(grown.model_to_string())
    assert (large.tree_count, large.tree_leaves.max()) == (200, 31)
    assert len(dump(metadata=METADATA, ensembles={"revenue": large})) < 250_000


def resigned(body: bytes, *, version: int = FORMAT_VERSION, header_length: int | None = None) -> bytes:
    """A file with a checksum that fits, whatever it holds."""
    if header_length is None:
        header_length = struct.unpack_from("<I", blob(), 12)[0]
    prefix = struct.pack("<8sIIQ", b"ADBIDMDL", version, header_length, HEADER + len(body))
    return prefix + hashlib.sha256(prefix + body).digest() + body
