"""Renders of one run that commit, are killed, take over, compact, meet damage and go on, against a dict."""

import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ursa_ray.errors import LeaseError, LedgerError
from ursa_ray.ledger import Commit, Run
from ursa_ray.ledger import run as run_module
from ursa_ray.ledger.damage import invalidate

KEYS = st.sampled_from("abcdefgh")
VERSIONS = st.integers(0, 3)


def commit_of(key, version):
    codes = np.frombuffer(key.encode() * 24, np.uint16).reshape(3, 2, 2)
    return replace(Commit.of_codes(key, codes), seconds=float(version))


class Killed(BaseException):
    pass


class Renders(RuleBasedStateMachine):
    """`expected` is what is committed, `history` what the entries after the snapshot are."""

    @initialize()
    def begin(self):
        self.folder = Path(tempfile.mkdtemp())
        self.expected: dict[str, Commit] = {}
        self.history: list[tuple[str, Commit] | str] = []
        self.base = 0
        self.compacted: dict[str, Commit] = {}
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(os, "fsync", lambda descriptor: None)
        self.patch.setattr(run_module, "COMPACT_AT", 10**6)
        # What bytes say never changes, and every step opens the run again: it would take three times as long.
        self.patch.setattr(Commit, "from_parquet", lru_cache(10_000)(Commit.from_parquet))
        self.run = Run.create(self.folder)
        self.sleepers: list[Run] = []

    def teardown(self):
        self.patch.undo()
        shutil.rmtree(self.folder)

    @rule(key=KEYS, version=VERSIONS)
    def commit(self, key, version):
        made = commit_of(key, version)
        self.run.commit(made)
        self.note(key, made)

    @rule(key=KEYS, at=st.sampled_from(["open", "link", "unlink"]))
    def be_killed(self, key, at):
        """Within a commit: before its bytes, before its name, or after it."""
        made = commit_of(key, 9)
        with pytest.MonkeyPatch.context() as patch:

            def die(*args, **kwargs):
                raise Killed

            patch.setattr(*{"open": (Path, "open"), "link": (os, "link"), "unlink": (os, "unlink")}[at], die)
            with suppress(Killed):
                self.run.commit(made)
        if at == "unlink":
            self.note(key, made)
        self.run = Run.open(self.folder)

    @rule()
    def resume(self):
        self.run = Run.open(self.folder)
        with self.run.locked():
            self.history.append("epoch")

    @rule()
    def take_over(self):
        """The render so far sleeps; another one goes on."""
        self.sleepers.append(self.run)
        self.resume()

    @precondition(lambda self: self.sleepers)
    @rule(key=KEYS)
    def wake_up(self, key):
        sleeper = self.sleepers.pop()
        for _ in range(2):
            with pytest.raises(LeaseError, match="has taken over this run"):
                sleeper.commit(commit_of(key, 7))

    @rule()
    def compact(self):
        self.patch.setattr(run_module, "COMPACT_AT", 1)
        self.resume()
        self.patch.setattr(run_module, "COMPACT_AT", 10**6)
        self.base += len(self.history)
        self.compacted = self.expected.copy()
        self.history.clear()
        assert list((self.folder / "log").glob("*.parquet")) == []

    @precondition(lambda self: self.whole())
    @rule(data=st.data(), is_missing=st.booleans())
    def meet_damage(self, data, is_missing):
        """An entry is refused, then invalidated; what it held is gone, unless another entry holds it too."""
        index = data.draw(st.sampled_from(self.whole()), "entry")
        file = self.folder / "log" / f"{self.base + index:020}.parquet"
        if is_missing and index < len(self.history) - 1:  # nobody knows of a last one that is gone
            file.unlink()
        else:
            file.write_bytes(b"PAR1" + os.urandom(8))
        with pytest.raises(LedgerError, match=f"{file.name}: is (damaged|missing)"):
            Run.open(self.folder)
        invalidate(self.run.store, self.base + index)
        self.history[index] = "lost"
        self.history += ["epoch", "invalidate"]
        self.expected = self.compacted | dict(entry for entry in self.history if not isinstance(entry, str))
        self.sleepers.append(self.run)
        self.run = Run.open(self.folder)

    def whole(self):
        """Entries that may be damaged; without an "invalidate", the damage that it excuses would be refused again."""
        return [index for index, entry in enumerate(self.history) if entry not in ("lost", "invalidate")]

    @invariant()
    def everything_committed_is_there_and_nothing_else(self):
        if hasattr(self, "run"):
            assert Run.open(self.folder).segments == self.run.segments == self.expected

    def note(self, key, made):
        self.history.append((key, made))
        self.expected[key] = made


# No database, so that every run of the tests does the same amount. Shrinking would take minutes; 30 steps can be read.
Renders.TestCase.settings = settings(
    max_examples=200,
    stateful_step_count=30,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
TestRenders = pytest.mark.timeout(900)(Renders.TestCase)  # 40 s of a quiet core
