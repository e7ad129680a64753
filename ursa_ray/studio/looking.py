"""What is found out about a run, again and again: only what is new of its ledger is read, and never too often."""

import hashlib
import threading
from contextlib import suppress
from dataclasses import replace
from time import monotonic

from ursa_ray.errors import LedgerError
from ursa_ray.failed import read_failures
from ursa_ray.ledger import FILM, Run
from ursa_ray.ledger.format import FORMAT_NAME
from ursa_ray.ledger.plans import read_plan
from ursa_ray.plan import Plan
from ursa_ray.studio.children import Children, pid_here
from ursa_ray.studio.view import Facts, Film
from ursa_ray.underway import underway

# Several pages that show one run ask once a second each; they share an answer that is this young. One costs 40 ms of a
# core for a film of 1200 segments.
YOUNG_S = 0.7


class Look:
    """Looks at one run, which need not be there yet. `name` is that of its process in `children`."""

    def __init__(self, url: str, name: str, children: Children):
        self.url = url
        self.run: Run | None = None
        self.lock = threading.RLock()
        self._name, self._children = name, children
        self._plan: Plan | None = None
        self._film: Film | None = None
        self._leader: int | None = None  # who held the lease last, if it was a process of this machine
        self._facts = Facts()
        self._looked = -YOUNG_S

    def facts(self) -> Facts:
        """What there is now.

        Raises:
            LedgerError, OptionError: the run is damaged, or something else is there.
        """
        with self.lock:
            if monotonic() - self._looked >= YOUNG_S:
                self._facts = self._find_out()
                self._looked = monotonic()
            return self._facts

    def storyboard(self) -> str | None:
        """The text that the run has kept of what it renders; None if it has none, or it is damaged.

        Raises:
            LedgerError, OptionError: as of `facts`.
        """
        self.facts()
        sha256 = None if self.run is None else self.run.storyboard_sha256
        if self.run is None or sha256 is None:
            return None
        try:
            content = self.run.store.read(f"assets/{sha256}")
        except OSError:
            return None
        return content.decode() if hashlib.sha256(content).hexdigest() == sha256 else None

    def expire(self) -> None:
        """Look again the next time: something was just begun or ended."""
        self._looked = -YOUNG_S

    def _find_out(self) -> Facts:
        ended = self._children.ended(self._name)
        complaint = ended.complaint if ended is not None and ended.is_worth_telling else ""
        run = self._refreshed()
        if run is None:
            return self._with_process(Facts(complaint=complaint))
        plan, now = self._plan_of(run), underway(run)
        keys = {} if plan is None else {segment.name: segment.key for segment in plan.segments}
        report = read_failures(run)
        facts = Facts(
            plan=plan,
            committed=frozenset(run.segments),
            framed=frozenset(run.framed()),
            num_done={keys[begun.segment]: begun.num_done for begun in now.begun if begun.segment in keys},
            failed={} if report is None else {each["key"]: each["reason"] for each in report["failed"]},
            holder=now.rendered_by,
            seconds_left=now.seconds_left,
            film=_film(run),
            film_before=self._film_before(run),
            complaint=complaint,
        )
        return self._with_process(facts)

    def _with_process(self, facts: Facts) -> Facts:
        """Whether who renders starts, ends, and can be interrupted."""
        pid, leader = self._children.pid(self._name), pid_here(facts.holder)
        self._leader = leader or self._leader
        has_let_go = pid is not None and pid == self._leader and facts.holder is None
        return replace(
            facts,
            is_starting=pid is not None and not has_let_go,
            is_ending=has_let_go or self._children.is_told(self._name, facts.holder),
            can_cancel=pid is not None or leader is not None,
        )

    def _refreshed(self) -> Run | None:
        """A run that was removed, or that another has taken the place of, is looked for again."""
        if self.run is not None and self.run.store.exists(FORMAT_NAME):
            with suppress(LedgerError):
                self.run.refresh()
                return self.run
        self.run = self._plan = None
        self.run = Run.find(self.url)
        return self.run

    def _plan_of(self, run: Run) -> Plan | None:
        """Plans never change, so each is read once."""
        if self._plan is None or self._plan.sha256 != run.plan_sha256:
            self._plan = run.plan()
        return self._plan

    def _film_before(self, run: Run) -> Film | None:
        """The run's last film, if it is there and is not that of its plan."""
        made = run.last_film
        if made is None or made.media_sha256 is None or made.key == run.plan_sha256 or not run.store.exists(FILM):
            return None
        if self._film is None or self._film.sha256 != made.media_sha256:
            try:
                self._film = Film(made.media_sha256, read_plan(run.store, made.key))
            except LedgerError:
                return None  # nobody can say what it shows
        return self._film


def _film(run: Run) -> str | None:
    """The sha256 of the film of the run's plan, if it is there."""
    made = run.last_film
    is_done = made is not None and made.key == run.plan_sha256 and run.store.exists(FILM)
    return made.media_sha256 if made is not None and is_done else None
