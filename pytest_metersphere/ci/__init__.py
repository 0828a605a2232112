"""What the GitHub Action runs: `python -m pytest_metersphere.ci`."""
