"""A side of a comparison: a process that does what it is asked, since what is compared needs environments of its own.

Lines of JSON on standard input and output, so that what breaks one (a fault of a device, a module that is missing) ends
a row and not the run. Needs torch alone.
"""

import gc
import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

import torch


def serve(make: Callable[[str], Any]) -> None:
    """Call methods of `make(first argument)` as asked until standard input ends; answers are what they return."""
    answers = os.fdopen(os.dup(1), "w")
    # What libraries print must not come between the answers.
    os.dup2(2, 1)
    side = None
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            side = side or make(sys.argv[1])
            answer = {"answer": getattr(side, asked.pop("what"))(**asked)}
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:500]}"}
        if "error" in answer:  # the traceback, which held tensors, is gone by now
            forget()
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def forget() -> None:
    """Give back what is in no use, so that the other side finds room."""
    gc.collect()
    torch.cuda.empty_cache()
