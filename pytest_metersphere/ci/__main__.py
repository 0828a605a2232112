"""`python -m pytest_metersphere.ci` is the step of the GitHub Action that runs the tests."""

from __future__ import annotations

import os
import sys

from pytest_metersphere.ci.command import main

sys.exit(main(os.environ))
