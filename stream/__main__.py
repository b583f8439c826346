"""``python -m stream``: the command ``offerstream``."""

from stream.cli import main

if __name__ == "__main__":
    main()
