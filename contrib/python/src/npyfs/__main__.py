"""``python -m npyfs`` is the command ``npyfs``."""

import os
import sys

from ._program import program

os.execv(program(), ["npyfs", *sys.argv[1:]])
