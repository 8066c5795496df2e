"""The front door: `python train.py fit`."""

from fer_lightning.cli.main import main

if __name__ == "__main__":
    main()
