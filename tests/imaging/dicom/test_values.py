"""Values of a data set in whatever state: what makes no sense counts as not there."""

from __future__ import annotations

import io

import pytest
from pydicom import Dataset

from pneumocascade.imaging.dicom.objects import read_object
from pneumocascade.imaging.dicom.quiet import quiet
from pneumocascade.imaging.dicom.values import (
    first_of,
    functional_group,
    items_of,
    number_of,
    text_of,
    whole_of,
)
from tests.imaging.dicom.objects import GREY, dataset, sequence, to_bytes


def reread(item: Dataset, *changes: tuple[bytes, bytes]) -> Dataset:
    data = to_bytes(item)
    for old, new in changes:
        assert data.count(old) == 1
        assert len(old) == len(new)
        data = data.replace(old, new)
    return read_object(io.BytesIO(data))


def test_the_first_of_several_values_counts() -> None:
    item = reread(dataset(GREY, 8, WindowWidth=[400, 800], ViewPosition="QX"), (b"QX", b"pa"))
    assert number_of(item, "WindowWidth") == 400
    assert text_of(item, "ViewPosition") == "PA"
    assert first_of(item, "WindowCenter") is None
    assert number_of(item, "WindowCenter") is None
    assert text_of(item, "BodyPartExamined") == ""


@pytest.mark.parametrize("text", [b"nan ", b"inf ", b"1e99", b"4,00", b"\xff\xfe\x00\x01"])
def test_a_number_is_finite_or_not_there(text: bytes) -> None:
    with quiet():
        number = number_of(reread(dataset(GREY, 8, WindowWidth="7351"), (b"7351", text)), "WindowWidth")
    assert number == (1e99 if text == b"1e99" else None)


def test_a_whole_number_is_one_or_an_error() -> None:
    item = reread(
        dataset(GREY, 8, NumberOfFrames="2345", NumberOfStudyRelatedInstances="7"), (b"2345", b"23.5")
    )
    assert whole_of(item, "Rows", 1) == GREY.shape[0]
    assert whole_of(item, "NumberOfSeriesRelatedInstances", 9) == 9
    with quiet(), pytest.raises(ValueError, match="NumberOfFrames"):
        whole_of(item, "NumberOfFrames", 1)


def test_only_sequences_have_items() -> None:
    item = reread(dataset(GREY, 8, VOILUTSequence=sequence(Dataset()), BodyPartExamined="CHEST"))
    assert len(items_of(item, "VOILUTSequence")) == 1
    assert items_of(item, "ModalityLUTSequence") == []
    assert items_of(item, "BodyPartExamined") == []
    assert items_of(item, "Rows") == []


def test_a_frames_own_group_comes_before_the_shared_one_and_the_data_set() -> None:
    def group(width: int) -> Dataset:
        inner, outer = Dataset(), Dataset()
        inner.WindowWidth = width
        outer.FrameVOILUTSequence = sequence(inner)
        return outer

    item = dataset(GREY, 8, WindowWidth=1)
    keyword = "FrameVOILUTSequence"
    assert functional_group(item, 0, keyword).WindowWidth == 1
    item.SharedFunctionalGroupsSequence = sequence(group(2))
    assert functional_group(item, 0, keyword).WindowWidth == 2
    item.PerFrameFunctionalGroupsSequence = sequence(group(3), group(4))
    assert [int(functional_group(item, index, keyword).WindowWidth) for index in range(3)] == [3, 4, 2]
