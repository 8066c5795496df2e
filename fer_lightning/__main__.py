"""`python -m fer_lightning`, the same as `fer`."""

from fer_lightning.cli.main import main

if __name__ == "__main__":
    main()
