"""No key, token or password is in the tree."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
from detect_secrets.core import scan
from detect_secrets.settings import default_settings

ROOT = Path(__file__).parents[1]

LISTING = ("ls-files", "--cached", "--others", "--exclude-standard", "-z")

NO_TEXT = frozenset({".onnx", ".npz", ".jpeg", ".jpg", ".png"})

LONG = ("docs/data/*", "*.po", "*.min.js")
"""Megabytes of what programs write and others publish: figures and digests, sentences, libraries."""

DIGESTS = (
    "src/pneumocascade/model/bundled/manifest.json",  # SHA-256 of the models
    "tests/golden/*.json",  # SHA-256 of the example films
    "requirements/*.txt",  # SHA-256 of packages
)
"""Files in which a long hexadecimal number is a digest that everybody may know."""


def files_of_the_tree() -> list[Path]:
    """Return what is tracked by git, and what would be next."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a checkout of git: what is tracked is unknown")
    done = subprocess.run([git, *LISTING], cwd=ROOT, capture_output=True, text=True, check=True)
    paths = [ROOT / name for name in done.stdout.split("\0") if name]
    paths = [path for path in paths if path.suffix not in NO_TEXT and path.is_file()]
    return [path for path in paths if not any(path.match(each) for each in LONG)]


def is_no_secret(path: Path, kind: str) -> bool:
    """Return whether what was found is a digest, or one of the words that tests take for a token."""
    if not path.is_relative_to(ROOT):
        return False
    name = path.relative_to(ROOT)
    if kind == "Base64 High Entropy String" and name.suffix == ".ipynb":
        return True  # pictures among a notebook's outputs
    if kind == "Hex High Entropy String":
        return any(name.match(each) for each in DIGESTS)
    return kind == "Secret Keyword" and name.parts[0] == "tests"


def secrets_in(path: Path) -> list[str]:
    """Return the kinds and lines of what looks like a secret in a file."""
    found = scan.scan_file(str(path))
    return [
        f"{path.name}:{each.line_number}: {each.type}" for each in found if not is_no_secret(path, each.type)
    ]


@pytest.mark.slow
def test_no_secret_is_in_the_tree() -> None:
    paths = files_of_the_tree()
    assert len(paths) > 100
    with default_settings():
        assert [each for path in paths for each in secrets_in(path)] == []


NOISE = hashlib.sha256(b"no secret").hexdigest()
"""Made anew each time: written out, it would be found in this file."""


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (f"-----BEGIN RSA {'PRIVATE'} KEY-----\n{NOISE}\n", "Private Key"),
        (f"key = 'AKIA{NOISE[:16].upper()}'\n", "AWS Access Key"),
        (f"token = 'ghp_{NOISE[:36]}'\n", "GitHub Token"),
        (f"password = '{NOISE[:9]}-battery'\n", "Secret Keyword"),
        (f"value = '{NOISE}'\n", "Hex High Entropy String"),
        (f"value = '{base64.b64encode(NOISE.encode()).decode()}'\n", "Base64 High Entropy String"),
    ],
)
def test_a_secret_would_be_found(text: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "settings.py"
    path.write_text(text, encoding="utf-8")
    with default_settings():
        assert any(kind in each for each in secrets_in(path))
