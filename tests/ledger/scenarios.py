"""What is done to a run while its disk fails or its power goes: each makes a run ready and gives the act itself."""

from ursa_ray.ledger import Run


def create(folder, commit, plan):
    return lambda: Run.create(folder)


def commit_first(folder, commit, plan):
    run = Run.create(folder)
    return lambda: run.commit(commit("one"))


def commit_next(folder, commit, plan):
    run = Run.create(folder)
    run.begin(plan)
    run.commit(commit("one"))
    return lambda: run.commit(commit("two"))


def begin(folder, commit, plan):
    run = Run.create(folder)
    run.commit(commit("one"))
    return lambda: run.begin(plan)


def compact(folder, commit, plan):
    run = Run.create(folder)
    run.begin(plan)
    run.commit(commit("one"))
    return lambda: run._log.compact(run._commits())


def compact_again(folder, commit, plan):
    compact(folder, commit, plan)()
    run = Run.open(folder)
    run.commit(commit("three"))
    return lambda: run._log.compact(run._commits())


ALL = [create, commit_first, commit_next, begin, compact, compact_again]
