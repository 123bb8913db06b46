"""From a film to a model's input: golden values and what must not change the answer."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from pneumocascade import ModelSpec, Radiograph, UsageError, prepare, read_radiograph, steps_of
from pneumocascade.model.preprocess import MAX_DISPLAY_SIDE, display_copy, inner, normalise, to_square
from pneumocascade.model.spec import for_recipe
from tests.conftest import draw_chest

HOT = for_recipe(1, "clahe-hot")
BASELINE = for_recipe(1, "baseline")


def wave(height: int = 300, width: int = 400) -> NDArray[np.uint8]:
    """Return a smooth pattern made by NumPy alone, so that golden values rest on nothing but the recipe."""
    rows, columns = np.mgrid[0:height, 0:width] / np.array([[[height]], [[width]]])
    pattern = 0.5 + 0.3 * np.sin(7 * columns + 2 * rows) * np.cos(5 * rows) + 0.15 * (columns - rows)
    return np.asarray(np.clip(pattern * 255, 0, 255), np.uint8)


def film(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> Radiograph:
    return Radiograph(pixels, "film")


# Golden values: OpenCV may round differently by one grey value between versions.


@pytest.mark.parametrize("shape", [(224, 224), (301, 517), (1000, 640)])
@pytest.mark.parametrize("margin", [0.0, 0.04, 0.25])
def test_what_lies_in_the_margin_does_not_matter(shape: tuple[int, int], margin: float) -> None:
    pixels = draw_chest(height=shape[0], width=shape[1])
    spec = replace(HOT, margin=margin)
    changed = pixels.copy()
    rows, columns = (round(margin * side) for side in shape)
    seen = inner(changed, margin)
    assert seen.shape == (shape[0] - 2 * rows, shape[1] - 2 * columns)
    kept = seen.copy()
    changed[:] = 255
    seen[:] = kept
    assert np.array_equal(steps_of(film(changed), spec).coloured, steps_of(film(pixels), spec).coloured)
    assert np.array_equal(steps_of(film(pixels), spec).grey, steps_of(film(kept), HOT).grey)


GOLDEN_GREY = [[170, 172, 78, 186], [101, 128, 152, 136], [31, 162, 163, 62], [91, 110, 116, 123]]
GOLDEN_EQUALISED = [[185, 167, 67, 179], [107, 128, 158, 132], [34, 180, 175, 57], [111, 121, 117, 132]]
GOLDEN_COLOURED_MEAN = [240.07, 84.15, 1.89]


def test_golden_values_of_the_steps() -> None:
    steps = steps_of(film(wave()), HOT)
    assert np.abs(steps.grey[16::64, 16::64].astype(int) - GOLDEN_GREY).max() <= 1
    assert np.abs(steps.equalised[16::64, 16::64].astype(int) - GOLDEN_EQUALISED).max() <= 3
    assert steps.coloured.mean(axis=(0, 1)) == pytest.approx(GOLDEN_COLOURED_MEAN, abs=0.5)


def test_the_recipe_is_the_one_written_down() -> None:
    """Each step again, straight from OpenCV."""
    pixels = draw_chest()
    grey = cv2.GaussianBlur(cv2.resize(pixels, (224, 224), interpolation=cv2.INTER_AREA), (0, 0), 0.8)
    equalised = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8)).apply(grey)
    coloured = cv2.cvtColor(cv2.applyColorMap(equalised, cv2.COLORMAP_HOT), cv2.COLOR_BGR2RGB)
    steps = steps_of(film(pixels), HOT)
    assert np.array_equal(steps.grey, grey)
    assert np.array_equal(steps.equalised, equalised)
    assert np.array_equal(steps.coloured, coloured)


def test_the_hot_colour_map_runs_from_black_over_red_and_yellow_to_white() -> None:
    spec = replace(HOT, clahe_clip_limit=None, smoothing_sigma=0.0, size=256, input_size=256)
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None], 256, axis=0)
    colours = steps_of(film(ramp), spec).coloured[0].astype(int)
    golden = np.array([[0, 0, 0], [160, 0, 0], [255, 65, 0], [255, 225, 0], [255, 255, 255]])
    assert np.abs(colours[[0, 64, 128, 192, 255]] - golden).max() <= 1
    assert (np.diff(colours, axis=0) >= 0).all()
    assert (colours[:, 0] >= colours[:, 1]).all()
    assert (colours[:, 1] >= colours[:, 2]).all()


# Shapes, types, determinism


@pytest.mark.parametrize("spec", [HOT, BASELINE], ids=["clahe-hot", "baseline"])
@pytest.mark.parametrize("size", [128, 224])
@pytest.mark.parametrize("shape", [(480, 600), (100, 900), (150, 101), (224, 224), (223, 225)])
def test_the_input_has_the_promised_form(spec: ModelSpec, size: int, shape: tuple[int, int]) -> None:
    spec = replace(spec, size=size, input_size=size)
    pixels = draw_chest(height=shape[0], width=shape[1])
    before = pixels.copy()
    tensor = prepare(film(pixels), spec)
    assert tensor.shape == (1, 3, size, size)
    assert tensor.dtype == np.float32
    assert tensor.flags.c_contiguous
    assert np.array_equal(pixels, before)
    assert np.array_equal(tensor, prepare(film(pixels.copy()), spec))


def test_the_steps_have_the_promised_form() -> None:
    for spec in (HOT, BASELINE):
        steps = steps_of(film(draw_chest()), spec)
        assert steps.grey.shape == steps.equalised.shape == (224, 224)
        assert steps.coloured.shape == (224, 224, 3)
        assert steps.grey.dtype == steps.equalised.dtype == steps.coloured.dtype == np.uint8


@settings(max_examples=30)
@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=60)))
def test_any_film_becomes_an_input(pixels: NDArray[np.uint8]) -> None:
    tensor = prepare(film(pixels), replace(HOT, size=32, input_size=32))
    assert tensor.shape == (1, 3, 32, 32)
    assert np.isfinite(tensor).all()


def test_the_baseline_has_three_equal_channels_and_no_clahe() -> None:
    steps = steps_of(film(draw_chest()), BASELINE)
    assert np.array_equal(steps.grey, steps.equalised)
    for channel in range(3):
        assert np.array_equal(steps.coloured[..., channel], steps.grey)


def test_every_parameter_counts() -> None:
    pixels = draw_chest()
    reference = prepare(film(pixels), HOT)
    for change in (
        {"smoothing_sigma": 0.0},
        {"smoothing_sigma": 1.5},
        {"clahe_clip_limit": 4.0},
        {"clahe_clip_limit": None},
        {"clahe_tiles": (4, 4)},
        {"colour_map": None},
        {"mean": (0.0, 0.0, 0.0)},
        {"std": (58.0, 57.0, 57.0)},
    ):
        assert not np.array_equal(prepare(film(pixels), replace(HOT, **change)), reference), change


def test_normalisation_is_value_minus_mean_over_std_per_channel() -> None:
    spec = replace(HOT, mean=(10.0, 20.0, 30.0), std=(2.0, 4.0, 5.0))
    coloured = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    tensor = normalise(coloured, spec)
    for channel, (mean, std) in enumerate(zip(spec.mean, spec.std, strict=True)):
        assert np.allclose(tensor[0, channel], (coloured[..., channel] - mean) / std, atol=1e-4)


@pytest.mark.parametrize("recipe", ["baseline", "clahe", "clahe-hot"])
def test_an_input_is_bit_for_bit_the_normalised_coloured_picture(recipe: str) -> None:
    spec = replace(for_recipe(1, recipe), mean=(123.68, 116.779, 103.939), std=(58.4, 57.1, 57.4))
    film = Radiograph(draw_chest(3), "phantom")
    batch = prepare(film, spec)
    assert np.array_equal(batch, normalise(steps_of(film, spec).coloured, spec))
    assert batch.flags.c_contiguous


@pytest.mark.parametrize("spec", [HOT, BASELINE], ids=["clahe-hot", "baseline"])
def test_a_smaller_input_is_the_area_average_of_the_coloured_square(spec: ModelSpec) -> None:
    small = prepare(film(draw_chest()), replace(spec, input_size=112))
    assert small.shape == (1, 3, 112, 112)
    assert small.flags.c_contiguous
    large = prepare(film(draw_chest()), spec)
    blocks = large.reshape(1, 3, 112, 2, 112, 2).mean(axis=(3, 5))
    assert np.allclose(small, blocks, atol=1e-3)


def test_the_size_of_the_input_does_not_change_the_steps() -> None:
    small, large = (steps_of(film(draw_chest()), replace(HOT, input_size=side)) for side in (160, 224))
    assert np.array_equal(small.coloured, large.coloured)
    assert small.coloured.shape == (224, 224, 3)


# Resizing


def checkerboard(height: int, width: int) -> NDArray[np.uint8]:
    return np.asarray(np.indices((height, width)).sum(axis=0) % 2 * 255, np.uint8)


@pytest.mark.parametrize("shape", [(448, 448), (2240, 2240), (1000, 896), (896, 448), (447, 443)])
def test_a_fine_checkerboard_becomes_grey(shape: tuple[int, int]) -> None:
    square = to_square(checkerboard(*shape), 224)
    assert square.min() >= 126
    assert square.max() <= 129


@pytest.mark.parametrize("shape", [(1000, 100), (100, 1000), (224, 1000), (1000, 224), (1000, 223)])
def test_an_axis_that_shrinks_is_anti_aliased_though_the_other_grows(shape: tuple[int, int]) -> None:
    axis = int(shape[1] > shape[0])
    stripes = np.zeros(shape, np.uint8)
    stripes[(slice(None),) * axis + (slice(None, None, 2),)] = 255
    square = to_square(stripes, 224)
    assert square.shape == (224, 224)
    assert square.mean() == pytest.approx(127.5, abs=1)
    assert np.ptp(square.astype(int)) < 64


def test_a_film_is_stretched_not_cropped() -> None:
    pixels = np.zeros((300, 900), np.uint8)
    pixels[:, 450:] = 200
    pixels[150:] += 50
    square = to_square(pixels, 224)
    assert [int(square[row, column]) for row in (5, 218) for column in (5, 218)] == [0, 200, 50, 250]
    assert np.abs(square.astype(int) - to_square(np.ascontiguousarray(pixels.T), 224).T).max() <= 1


@pytest.mark.parametrize("side", [60, 224, 800])
def test_a_film_of_the_models_size_or_of_one_tone_is_unchanged(side: int) -> None:
    assert np.unique(to_square(np.full((side, side + 30), 77, np.uint8), 224)).tolist() == [77]
    assert np.unique(to_square(np.full((side, side), 77 * 257, np.uint16), 224)).tolist() == [77]
    exact = np.random.default_rng(0).integers(0, 256, (224, 224), dtype=np.uint8)
    assert np.array_equal(to_square(exact, 224), exact)


@settings(max_examples=30)
@given(
    hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=80)),
    st.integers(32, 64),
)
def test_resizing_stays_within_the_grey_values_of_the_film(pixels: NDArray[np.uint8], size: int) -> None:
    square = to_square(pixels, size)
    assert square.shape == (size, size)
    assert square.min() >= pixels.min()
    assert square.max() <= pixels.max()


@pytest.mark.parametrize("shape", [(16, 3_000_000), (3_000_000, 16)])
def test_extreme_aspect_ratios_are_resized(shape: tuple[int, int]) -> None:
    ramp = np.linspace(0, 255, 3_000_000).astype(np.uint8)
    pixels = np.broadcast_to(ramp if shape[0] == 16 else ramp[:, None], shape)
    square = to_square(np.ascontiguousarray(pixels), 224)
    assert square.mean() == pytest.approx(127, abs=1)


# What must not change the answer


@pytest.mark.parametrize("shape", [(480, 600), (333, 517), (100, 900), (150, 150)])
def test_sixteen_bits_equal_eight_within_one_grey_value(shape: tuple[int, int]) -> None:
    eight = draw_chest(height=shape[0], width=shape[1])
    sixteen = eight.astype(np.uint16) * np.uint16(257)
    difference = steps_of(film(eight), HOT).grey.astype(int) - steps_of(film(sixteen), HOT).grey
    assert np.abs(difference).max() <= 1
    assert np.abs(prepare(film(eight), HOT) - prepare(film(sixteen), HOT)).mean() < 1


def test_the_layout_in_memory_does_not_matter() -> None:
    pixels = draw_chest()
    wide = np.zeros((pixels.shape[0], pixels.shape[1] * 2), np.uint8)
    wide[:, ::2] = pixels
    expected = prepare(film(pixels), HOT)
    for layout in (np.asfortranarray(pixels), wide[:, ::2], np.ascontiguousarray(pixels[::-1])[::-1]):
        assert np.array_equal(prepare(film(layout), HOT), expected)


@pytest.mark.parametrize("factor", [2, 3])
@pytest.mark.parametrize("interpolation", [cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_CUBIC])
def test_an_enlarged_film_gives_nearly_the_same_input(factor: int, interpolation: int) -> None:
    pixels = draw_chest()
    large = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=interpolation).astype(np.uint8)
    small_steps, large_steps = steps_of(film(pixels), HOT), steps_of(film(large), HOT)
    assert np.abs(small_steps.grey.astype(int) - large_steps.grey).max() <= 4
    assert np.abs(small_steps.equalised.astype(int) - large_steps.equalised).mean() < 2


def test_a_lossless_file_gives_the_very_same_input() -> None:
    pixels = draw_chest()
    done, content = cv2.imencode(".png", pixels)
    assert done
    assert np.array_equal(prepare(read_radiograph(content.tobytes()), HOT), prepare(film(pixels), HOT))


def test_the_smoothing_step_takes_away_jpeg_texture() -> None:
    """The same film at quality 75, the texture that a model trained on such files learns."""
    pixels = to_square(draw_chest(3), 224)
    done, content = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 75])
    assert done
    compressed = read_radiograph(content.tobytes())

    def difference(sigma: float) -> float:
        spec = replace(HOT, smoothing_sigma=sigma)
        return float(np.abs(prepare(film(pixels), spec) - prepare(compressed, spec)).mean())

    assert difference(0.8) < 0.6 * difference(0.0)


@pytest.mark.parametrize("shape", [(300, 280), (3000, 2500), (700, 5000)])
def test_a_display_copy_is_bounded_and_has_the_steps_of_the_film(shape: tuple[int, int]) -> None:
    eight = draw_chest(height=shape[0], width=shape[1])
    for pixels in (eight, eight.astype(np.uint16) * np.uint16(257)):
        spec = replace(HOT, margin=0.04)
        copy = display_copy(film(pixels), spec)
        assert copy.pixels.dtype == np.uint8
        assert max(copy.pixels.shape) == min(max(shape), MAX_DISPLAY_SIDE)
        assert copy.size_read == shape
        assert copy.bits_read == 8 * pixels.dtype.itemsize
        shown, given = steps_of(copy, spec), steps_of(film(pixels), spec)
        np.testing.assert_array_equal(shown.grey, given.grey)
        np.testing.assert_array_equal(shown.coloured, given.coloured)
        again = display_copy(copy, spec)
        np.testing.assert_array_equal(again.pixels, copy.pixels)
        assert again.size_read == shape
        with pytest.raises(UsageError, match="make another copy"):
            steps_of(copy, HOT)
