"""The hand-made journals of `sample.py`, and golden files."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def sample() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reports_sample", HERE / "sample.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compares text with a golden file; `UPDATE_GOLDEN=1` writes it instead."""

    def compare(name: str, text: str) -> None:
        path = HERE / "golden" / name
        if os.environ.get("UPDATE_GOLDEN") == "1":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="")
        expected = path.read_bytes().decode("utf-8") if path.exists() else ""
        assert text == expected, f"{name} differs: look at it, and if it is right run again with UPDATE_GOLDEN=1"

    return compare
