"""``python -m segdistill``, also under ``torchrun -m segdistill``."""

from segdistill.cli import main

if __name__ == "__main__":
    main()
