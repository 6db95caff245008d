"""Ctrl-C ends a run within seconds, also inside a long call of the engine, and leaves no file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip("moeram._core")

# A shell that starts the tests in the background leaves SIGINT ignored, which children inherit.
MARK = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from moeram.hardware import cycle
core = cycle.load_core()
begin = core.run_nmp
def run_nmp(*given, **options):
    print("engine begins", flush=True)
    return begin(*given, **options)
core.run_nmp = run_nmp
from moeram.cli.main import main
sys.argv = ["moeram", *sys.argv[1:]]
main()
"""


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_interrupt_ends_the_engine_call(tmp_path):
    folder = tmp_path / "out"
    # One call of 4096 layers at batch 64: half a minute of work on one thread.
    options = [
        "-p",
        "batch=64",
        "-p",
        "samples=256",
        "-p",
        "placements=no_tiering",
        "-p",
        "reuse_identical_channels=false",
        "-p",
        "reuse_experts=false",
    ]
    command = [sys.executable, "-c", MARK, "run", "quickstart", *options, "--threads", "1", "-q", "-o", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "engine begins\n"
        time.sleep(0.3)
        begin = time.monotonic()
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=60)
        seconds = time.monotonic() - begin
    assert child.returncode != 0 and "Traceback" not in said
    assert seconds < 15
    assert not folder.exists()
