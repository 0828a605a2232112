"""`python -m pytest_metersphere` is the command `pytest-metersphere`."""

from __future__ import annotations

import sys

from pytest_metersphere.cli import main

sys.exit(main())
