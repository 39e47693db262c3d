"""Pages that are generated are those that their generators would write today."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("script", ["models.py", "deploy_page.py", "parity_page.py"])
def test_a_generated_page_is_up_to_date(script):
    command = [sys.executable, ROOT / "benchmarks" / script, "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_table_names_every_network():
    import zoo

    page = (ROOT / "docs" / "models.md").read_text()
    assert all(f"| `{name}` |" in page for name in zoo.list_models())
