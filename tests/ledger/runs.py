"""What there is to see of a run, from inside and from outside."""


def state(run):
    return run.segments, run.last_film, run.plan_sha256, run.takes, run.plan()


def contents(folder):
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}
