"""Everything in a run that is not as it was written: what it is and what to do about it. Nothing is changed here.

Every artefact says itself what it should be: seals and chain in the ledger, hashes in the names of plans, assets and
frames, hashes of film and pictures in the film's commit. LEASE and previews are not read back.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from ursa_ray.errors import LedgerError, MediaError, OptionError
from ursa_ray.failed import REPORT, load_failures
from ursa_ray.files import file_sha256
from ursa_ray.ledger import SAMPLES, Commit, Steps, Store
from ursa_ray.ledger.chain import log_name, numbers_in
from ursa_ray.ledger.commit import FIX as FIX_ENTRY
from ursa_ray.ledger.format import FORMAT, FORMAT_NAME, NEWER, require_format
from ursa_ray.ledger.log import Log, Survey
from ursa_ray.ledger.plans import FIX as FIX_PLAN
from ursa_ray.ledger.plans import read_plan
from ursa_ray.ledger.snapshots import FIX as FIX_SNAPSHOT
from ursa_ray.ledger.snapshots import FOLDER, snapshot_name
from ursa_ray.media import read_mezzanine
from ursa_ray.media.mezzanine import REMEDY
from ursa_ray.plan import ClipCondition, ImageCondition

PLAN = re.compile(r"plan-(.*)\.parquet")
MEZZANINE = re.compile(r"[0-9a-f]{64}\.mkv")
RESULT = re.compile(r"\.(png|mp4)$")


@dataclass(frozen=True)
class Finding:
    """`file` is relative to the run; `problem` and `fix` are sentences."""

    file: str
    problem: str
    fix: str
    mended_by_render: bool = False


def examine(store: Store) -> Iterator[Finding]:
    """Read everything in a run; this may take as long as decoding all its frames.

    Raises:
        OptionError: it is not a run.
    """
    unreadable = _format_problem(store)
    if unreadable is not None:
        yield unreadable
        if unreadable.fix == NEWER:
            return
    try:
        survey = Log(store).survey()
    except LedgerError as error:
        yield Finding("log", *_split(error, f"{store.url}/log", "Restore it."))
        return
    latest = {commit.kind: commit for commit in survey.commits}
    plan_sha256 = latest["plan"].key if "plan" in latest else None
    yield from _in_log(store, survey)
    yield from _in_plans(store, plan_sha256)
    storyboard = (latest["plan"].files or {}) if "plan" in latest else {}
    yield from _in_assets(store, _assets_of(store, plan_sha256).union(storyboard.values()))
    yield from _in_media(store)
    yield from _in_steps(store)
    yield from _in_film(store, latest.get("film"))
    samples = [commit.files for commit in survey.commits if commit.kind == "samples"]
    yield from _in_samples(store, {sha256 for files in samples for sha256 in (files or {}).values()})
    try:
        load_failures(store)
    except LedgerError as error:
        yield Finding(
            REPORT, *_split(error, f"{store.url}/{REPORT}", "Remove it, or render again."), mended_by_render=True
        )


def _format_problem(store: Store) -> Finding | None:
    rewrite = f"Write {json.dumps(FORMAT)} to it."
    try:
        require_format(store)
    except OptionError:
        if not store.names("log") and not store.names(FOLDER):
            raise
        return Finding(FORMAT_NAME, "is missing or cannot be read.", rewrite)
    except LedgerError as error:
        where = f"{store.url}/{FORMAT_NAME}"
        if str(error).endswith(NEWER):
            return Finding(FORMAT_NAME, *_split(error, where, NEWER))
        return Finding(FORMAT_NAME, "is damaged.", rewrite)
    return None


def _in_log(store: Store, survey: Survey) -> Iterator[Finding]:
    if survey.problem is not None:
        last = survey.num_compacted - 1
        fix = "Restore it from a copy, or render into a new --run."
        if set(range(last + 1)) <= set(numbers_in(store, "log")):
            fix = "Delete it: the log still holds all that is in it."
        name = snapshot_name(last)
        yield Finding(name, _split(survey.problem, f"{store.url}/{name}", FIX_SNAPSHOT)[0], fix)
    for entry in survey.damaged:
        fix = "Make it readable, or restore it from a copy."
        if entry.sha256:
            fix = (
                "Restore it from a copy, or pass over it for good (what it held is rendered again, and a --retake that "
                f"it held must be given again): ursa-ray fsck {store.url} --invalidate {entry.number}"
            )
        yield Finding(entry.name, _split(entry.problem, f"{store.url}/{log_name(entry.number)}", FIX_ENTRY)[0], fix)


def _in_plans(store: Store, plan_sha256: str | None) -> Iterator[Finding]:
    found = {match[1] for match in map(PLAN.fullmatch, store.names("")) if match}
    if plan_sha256 is not None:
        found.add(plan_sha256)
    for sha256 in sorted(found):
        try:
            read_plan(store, sha256)
        except LedgerError as error:
            name = f"plan-{sha256}.parquet"
            problem, fix = _split(error, f"{store.url}/{name}", FIX_PLAN)
            is_current = sha256 == plan_sha256
            yield Finding(name, problem, fix if is_current else "Delete it: it is not of the film here.", is_current)


def _in_assets(store: Store, named: set[str]) -> Iterator[Finding]:
    for name in store.names("assets"):
        with store.reading(f"assets/{name}") as path:
            if file_sha256(path) == name:
                continue
        problem = "is damaged, or foreign: its content does not match the hash that is its name."
        if name in named:
            yield Finding(f"assets/{name}", problem, "Render its storyboard again: that copies it anew.", True)
        else:
            yield Finding(f"assets/{name}", problem, "Delete it: the plan does not name it.")


def _in_media(store: Store) -> Iterator[Finding]:
    for name in store.names("media"):
        if not MEZZANINE.fullmatch(name):
            yield Finding(f"media/{name}", "is foreign: frames are in files that their hash names.", "Move it away.")
            continue
        with store.reading(f"media/{name}") as path:
            try:
                for _ in read_mezzanine(path):
                    pass
            except MediaError as error:
                yield Finding(f"media/{name}", *_split(error, str(path), REMEDY))


def _in_steps(store: Store) -> Iterator[Finding]:
    steps = Steps(store)
    for key in store.names("steps"):
        for name in steps.names(key):
            try:
                steps.read(key, name)
            except FileNotFoundError:
                pass  # its segment has just been committed
            except LedgerError as error:
                where = f"steps/{key}/{name}"
                problem, _ = _split(error, where, "")
                yield Finding(where, problem, "Leave it: a render passes over it.", mended_by_render=True)


def _in_film(store: Store, film: Commit | None) -> Iterator[Finding]:
    for name, sha256 in ((film and film.files) or {}).items():
        try:
            with store.reading(name) as path:
                if file_sha256(path) == sha256:
                    continue
            problem = "is damaged, or not the one that was made with the film."
        except OSError as error:
            problem = f"cannot be read ({error.strerror})."
        yield Finding(name, problem, "Render again: it is made anew.", mended_by_render=True)


def _in_samples(store: Store, known: set[str]) -> Iterator[Finding]:
    for name in _results(store, SAMPLES):
        with store.reading(name) as path:
            if file_sha256(path) not in known:
                problem = "is damaged, foreign, or was written when its command was killed."
                fix = "Give the command that makes it again: it writes anew what is not whole."
                yield Finding(name, problem, fix, mended_by_render=True)


def _results(store: Store, folder: str) -> Iterator[str]:
    """Images and videos in a folder and in those below it."""
    for name in store.names(folder):
        path = f"{folder}/{name}"
        if RESULT.search(name):
            yield path
        else:
            yield from _results(store, path)


def _assets_of(store: Store, plan_sha256: str | None) -> set[str]:
    if plan_sha256 is None:
        return set()
    try:
        segments = read_plan(store, plan_sha256).segments
    except LedgerError:
        return set()
    conditions = (segment.condition for segment in segments)
    return {condition.sha256 for condition in conditions if isinstance(condition, ImageCondition | ClipCondition)}


def _split(error: object, where: str, fix: str) -> tuple[str, str]:
    """What an error says, without where it is, and what it says to do."""
    return str(error).removeprefix(f"{where}: ").removesuffix(fix).strip(), fix
