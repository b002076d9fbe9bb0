"""Features that separate the labels alone are named; a few rows of a class are no reason to."""

from __future__ import annotations

import numpy as np
import pytest

from vflfast.crypto.coded import CodedMatrix
from vflfast.errors import InputError
from vflfast.learn.separation import feature_auc, suspects
from vflfast.params import LEAK_AUC, LEAK_CLASS_ROWS

LABELS = np.array([-1, 1] * 100, dtype=np.int8)
COPY = (LABELS > 0).astype(np.uint8)


def test_a_copy_of_the_labels_separates_them_whatever_its_codes() -> None:
    assert feature_auc(COPY, LABELS) == 1.0
    assert feature_auc(np.where(COPY, 7, 200).astype(np.uint8), LABELS) == 1.0
    assert feature_auc(np.zeros(200, dtype=np.uint8), LABELS) == 0.5


def test_classes_of_few_rows_are_taken_together() -> None:
    one_by_one = np.arange(200, dtype=np.uint8)  # a class a row: by itself it would know every label
    assert feature_auc(one_by_one, LABELS) == 0.5
    small = np.repeat(np.arange(10), LEAK_CLASS_ROWS).astype(np.uint8)  # classes just large enough
    assert feature_auc(small, np.repeat(np.array([-1, 1], dtype=np.int8), 100)) == 1.0
    assert feature_auc(small[: 5 * LEAK_CLASS_ROWS - 1], LABELS[: 5 * LEAK_CLASS_ROWS - 1]) < 0.6


def test_the_suspects_are_named_and_no_others() -> None:
    noisy = np.where(np.arange(200) % 20 < 2, 1 - COPY, COPY).astype(np.uint8)  # right for nine of ten
    matrix = CodedMatrix(np.stack([COPY, noisy]), np.array([2, 2]))
    assert suspects(matrix, ["made after", "honest"], LABELS) == {"made after": 1.0}
    assert 0.85 < feature_auc(noisy, LABELS) < LEAK_AUC


@pytest.mark.parametrize("label", [-1, 1])
def test_labels_of_one_kind_accuse_nobody(label: int) -> None:
    assert suspects(CodedMatrix(COPY[None], np.array([2])), ["x"], np.full(200, label, dtype=np.int8)) == {}


def test_rows_and_labels_of_different_lengths() -> None:
    with pytest.raises(InputError, match="200 rows, 199 labels") as caught:
        feature_auc(COPY, LABELS[:-1])
    assert caught.value.argument == "codes"
