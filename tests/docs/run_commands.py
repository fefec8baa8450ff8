"""Run the commands in standard input, one a line, in one process: what they import is imported once.

``python -m MODULE ARGS``, ``python FILE ARGS`` and ``warpsure ARGS`` are run as a shell would, from the working
directory. The first that fails ends this with its status.
"""

from __future__ import annotations

import runpy
import shlex
import sys
import traceback


def run(words: list[str]) -> int:
    """Run one command; return its exit status."""
    if words[0] == "warpsure":
        words = ["python", "-m", "tools", *words[1:]]
    is_module = words[1] == "-m"
    target, sys.argv = words[1 + is_module], words[1 + is_module :]
    try:
        if is_module:
            runpy.run_module(target, run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(target, run_name="__main__")
    except SystemExit as ended:
        if ended.code not in (None, 0):
            print(ended.code, file=sys.stderr)
        return 0 if ended.code is None else ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    sys.path[0] = ""  # the working directory, as `python -m` has it
    for line in sys.stdin.read().splitlines():
        print(f"$ {line}", flush=True)
        if status := run(shlex.split(line)):
            print(f"status {status}: {line}", file=sys.stderr)
            sys.exit(status)
