"""`python -m rhythmai` is the console script."""

from rhythmai.cli import main

main()
