"""`python -m rightseat` is the command `rightseat`."""

from rightseat.commands import main

if __name__ == "__main__":
    main()
