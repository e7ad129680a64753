"""Seeded storyboards as users write them, and what a plan of one is to the schedule."""

from random import Random

from ursa_ray.checkpoint import open_checkpoint
from ursa_ray.plan import Plan, plan_storyboard
from ursa_ray.schedule import Job, missing_jobs
from ursa_ray.storyboard import Storyboard

MODEL = "BAAI/URSA-1.7B-FSQ320"  # segments of 49 frames, 36 of them new
FRAMES, NEW_FRAMES = 49, 36

# Shots of so many segments, and how many of 100 shots are so: mostly cuts, some scenes, a few long takes.
LENGTHS = [(1, 4, 50), (3, 8, 35), (8, 20, 15)]
CONTINUE_LAST, CONTINUE_EARLIER = 0.25, 0.05  # of the others, one of the ten shots before: a fork
# Or all of them cuts: nothing is continued, and segments are few, which makes the hardest sums.
CUTS = [(1, 3, 100)]
CHEAPER = 0.2  # of the shots of a mixed storyboard: half of them with 30 steps, half without guidance


def raw_shots(num_shots: int, seed: int, kind: str) -> list[dict]:
    random, shots = Random(f"{num_shots}/{seed}"), []
    lengths = CUTS if kind == "cuts" else LENGTHS
    for number in range(num_shots):
        low, high, _ = random.choices(lengths, [share for *_, share in lengths])[0]
        frames = FRAMES + NEW_FRAMES * (random.randint(low, high) - 1) - random.randrange(NEW_FRAMES)
        shot = {"id": f"s{number}", "prompt": "a lone grizzly bear walks through a misty forest at dawn"}
        draw = 1.0 if kind == "cuts" else random.random()
        if number and draw < CONTINUE_LAST:
            shot["continue"] = f"s{number - 1}"
        elif number and draw < CONTINUE_LAST + CONTINUE_EARLIER:
            shot["continue"] = f"s{random.randrange(max(0, number - 10), number)}"
        if "continue" in shot:
            frames -= FRAMES - NEW_FRAMES  # its first segment has an overlap, too
        cheaper = random.random()
        if kind == "mixed" and cheaper < CHEAPER:
            shot |= {"steps": 30} if cheaper < CHEAPER / 2 else {"guidance": 1.0}
        shots.append(shot | {"frames": frames})
    return shots


def storyboard(num_shots: int, seed: int = 0, kind: str = "equal") -> Storyboard:
    """`kind` is equal (as are all segments), mixed (a fifth of the shots cheaper) or cuts.

    Through the schema, not from YAML: a file has at most 256 KB, some 2000 shots.

    The schema takes 10,000 shots; of more, each 10,000 are checked alone.
    """
    shots = raw_shots(num_shots, seed, kind)
    first, *rest = (
        Storyboard.model_validate({"version": 1, "model": MODEL, "shots": tuple(_apart(shots[at : at + 10_000]))})
        for at in range(0, num_shots, 10_000)
    )
    return first.model_copy(update={"shots": sum((board.shots for board in rest), first.shots)}) if rest else first


def plan(board: Storyboard) -> Plan:
    return plan_storyboard(board, open_checkpoint(MODEL), {})


def jobs(num_shots: int, seed: int, kind: str) -> list[Job]:
    return missing_jobs(plan(storyboard(num_shots, seed, kind)))


def _apart(shots: list[dict]) -> list[dict]:
    """None of them continues a shot of another ten thousand."""
    ids = {shot["id"] for shot in shots}
    return [{key: shot[key] for key in shot if key != "continue" or shot[key] in ids} for shot in shots]
