"""The page with the help of every command, written by Typer from the commands themselves.

python tools/command_help.py    # prints the page
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

COMMAND = (
    "typer",
    "pneumocascade.cli",
    "utils",
    "docs",
    "--name",
    "pneumocascade",
    "--title",
    "Command line",
)
"""Arguments of ``python -m``: Typer's own command for this."""

_HEADING = re.compile(r"#+ `(.+)`")
_ENTRY = re.compile(r"\* `([\w-]+)`(?:: .*)?")


def command_page() -> str:
    """Return the help of all commands as Markdown.

    Raises
    ------
    subprocess.CalledProcessError
        Where the command line cannot be imported; what Typer says of it is on standard error.
    """
    # With Rich, Typer takes what stands in square brackets for mark-up and leaves it out.
    environment = {**os.environ, "TYPER_USE_RICH": "0"}
    done = subprocess.run(  # noqa: S603  the arguments are our own
        [sys.executable, "-m", *COMMAND], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return "\n".join(_with_links(done.stdout.splitlines())) + "\n"


def _with_links(lines: list[str]) -> list[str]:
    """Let lists of commands lead to them; Typer gives there the first words of what follows anyway."""
    linked = []
    command, listing = "pneumocascade", False
    for line in lines:
        heading, entry = _HEADING.fullmatch(line), _ENTRY.fullmatch(line)
        if heading:
            command = heading[1]
        listing = line == "**Commands**:" or (listing and (entry is not None or not line))
        if listing and entry:
            anchor = f"{command} {entry[1]}".replace(" ", "-")
            line = f"* [`{entry[1]}`](#{anchor})"
        linked.append(line)
    return linked


if __name__ == "__main__":
    print(command_page(), end="")
