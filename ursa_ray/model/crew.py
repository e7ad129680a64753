"""Several devices of one machine that compute the hidden rows of a step together: a leader and its followers.

The leader is this process. It has the whole model: it draws, encodes and decodes. `model/follower` is what followers
are, `model/member` how the work is shared. They meet in a new folder, so that the crews of one machine do not see each
other. As followers keep nothing between two steps, a generation may be given up at any step, and resumed from any.
"""

import shutil
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import wait
from pathlib import Path
from tempfile import mkdtemp
from threading import Thread, Timer, current_thread

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ursa_ray.checkpoint import Checkpoint
from ursa_ray.errors import ReplicaError
from ursa_ray.model.devices import Devices
from ursa_ray.model.follower import Follower, Orders
from ursa_ray.model.group import LEADER, Group
from ursa_ray.model.member import Member, Task
from ursa_ray.model.transformer import Transformer

# What fails here because a follower is gone is followed by the news that it is.
NEWS_WITHIN_S = 5.0

# Of a step. NCCL's gathering does not wait, so it is a minute after single operations are given up, which name the
# device. All of gloo's wait, and CPUs may take hours for a step.
GIVE_UP_AFTER_S = {"cuda": 11 * 60.0, "cpu": 24 * 3600.0}


class Crew:
    """`transformer` is the checkpoint's, on the first of the devices; the others compute as it does.

    Raises:
        ReplicaError: a follower could not start.
    """

    def __init__(self, transformer: Transformer, checkpoint: Checkpoint, devices: Devices):
        self.devices = devices
        self._lost: list[str] = []
        self._threads: list[Thread] = []  # the watch, and what sends the latest task
        folder = Path(mkdtemp(prefix="ursa-ray-crew-"))
        assert transformer.backends is not None
        how = transformer.lm_head.weight.dtype, transformer.backends, torch.get_num_threads()
        self._followers = [
            Follower.start(Orders(rank, devices, checkpoint, *how, folder)) for rank in range(1, devices.number)
        ]
        self._end = weakref.finalize(self, _end, self._followers, self._threads, folder)
        try:
            for _ in self._followers:
                if (news := _next_news(self._followers)) is not None:
                    raise ReplicaError(f"{news}.")
            group = self._meet(folder)
            if devices.first.type == "cpu":
                shutil.rmtree(folder)  # so that nothing is left of it even if all are killed at once
        except BaseException:
            self.close()
            raise
        self._member = Member(transformer, group, devices.splits_guidance)
        self._threads.append(_begin(_watch, self._followers, group, self._lost))

    def rows(
        self,
        prompts: Int64[Tensor, "b p"],
        codes: Int64[Tensor, " n"],
        grid: tuple[int, int, int],
        scored: Int64[Tensor, " scored"] | None = None,
    ) -> Float[Tensor, "b scored d"]:
        """Hidden rows of some tokens, or of all, as the transformer alone gives them.

        Raises:
            ReplicaError: a follower is gone or does not answer, and with it the crew.
        """
        if not self._end.alive:
            raise ReplicaError("the devices of this model were let go. Load it again.")
        scored = torch.arange(len(codes)) if scored is None else scored
        task = Task(prompts.cpu().numpy(), codes.cpu().numpy(), grid, scored.cpu().numpy())
        with self._all_or_none():
            # A pipe takes less at once than a task, and whoever hangs is given up where its rows are waited for.
            self._threads[1:] = [_begin(follower.send, task) for follower in self._followers]
            rows = self._member.lead(task)
            if rows.is_cuda:
                torch.cuda.synchronize(rows.device)  # an aborted group leaves numbers that nobody has sent
        return rows

    def close(self) -> None:
        """End the followers."""
        self._end()

    def _meet(self, folder: Path) -> Group:
        for follower in self._followers:
            follower.send(None)
        try:
            return Group.join(folder, LEADER, self.devices.number, self.devices[LEADER])
        except ReplicaError as error:
            for follower in self._followers:
                if follower.pipe.poll():  # all have said that they have loaded, so it is gone
                    raise ReplicaError(f"{follower.news()}.") from error
            raise

    @contextmanager
    def _all_or_none(self) -> Iterator[None]:
        """Let all go if one is lost or late, or if this one stops: the others wait within the task."""
        limit_s = GIVE_UP_AFTER_S[self.devices.first.type]
        late = Timer(limit_s, self._give_up, (limit_s,))
        late.daemon = True
        late.start()
        try:
            yield
            assert not self._lost, self._lost
        except BaseException as error:
            if isinstance(error, Exception) and not self._lost:
                self._threads[0].join(NEWS_WITHIN_S)
            lost = [*self._lost]
            self.close()
            if lost:
                raise ReplicaError(f"{lost[0]}.") from error
            raise
        finally:
            late.cancel()

    def _give_up(self, limit_s: float) -> None:
        self._lost.append(f"the {self.devices.number} devices of a step did not all end it in {limit_s:.0f} s")
        for follower in self._followers:
            follower.process.kill()  # the watch does the rest


def _begin(function: Callable[..., None], *arguments: object) -> Thread:
    thread = Thread(target=function, args=arguments, daemon=True)
    thread.start()
    return thread


def _watch(followers: Sequence[Follower], group: Group, lost: list[str]) -> None:
    """Wait until a follower is gone, and end what waits for it: a GPU would wait for ever."""
    lost.append(_next_news(followers) or "")
    group.abort()


def _next_news(followers: Sequence[Follower]) -> str | None:
    """Wait until any of them has news."""
    (first, *_) = wait([follower.pipe for follower in followers])
    return next(follower.news() for follower in followers if follower.pipe is first)


def _end(followers: Sequence[Follower], threads: Sequence[Thread], folder: Path) -> None:
    for follower in followers:
        follower.process.kill()
    for thread in threads:
        if thread is not current_thread():
            thread.join()
    for follower in followers:
        follower.process.join()
        follower.pipe.close()
    shutil.rmtree(folder, ignore_errors=True)
