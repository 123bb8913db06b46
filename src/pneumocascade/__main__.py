"""``python -m pneumocascade``."""

from pneumocascade.cli import main

if __name__ == "__main__":
    main()
