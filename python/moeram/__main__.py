"""python -m moeram: the command line."""

from moeram.cli.main import main

if __name__ == "__main__":
    main()
