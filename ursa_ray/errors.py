"""Every error a user can meet.

    UrsaRayError                 exit 1   something of ours went wrong
    +-- InputError               exit 2   what the user gave cannot be used
    |   +-- StoryboardError               the YAML, or what it asks for
    |   +-- AssetError                    an image or clip that the storyboard names
    |   +-- CheckpointError               a model folder or hub id
    |   +-- OptionError                   a command line option or an argument of the API
    +-- RenderError              exit 3   shots failed; everything else is rendered and committed
    +-- LedgerError              exit 4   what a run holds is damaged or not ours
    |   +-- LeaseError           exit 7   another render works on this run
    |   +-- StoreError           exit 3   its disk or bucket refuses what is written; what is committed is safe
    +-- MediaError               exit 5   ffmpeg failed, or made something other than was planned
    +-- ReplicaError             exit 6   a replica could not start, or died
    |   +-- LostError                     its node was preempted, scaled down or lost: nobody's fault
    |   +-- OutputError                   it made what no segment can be: NaN, codes out of range, another shape
    +-- StopError                exit 130 a job was stopped, or its user has left it alone

A message says where, what, what was expected and the fix. Constructors take one string, so that errors survive
pickling on their way from a Ray actor.
"""


class UrsaRayError(Exception):
    exit_code = 1


class InputError(UrsaRayError):
    exit_code = 2


class StoryboardError(InputError):
    pass


class AssetError(InputError):
    pass


class CheckpointError(InputError):
    pass


class OptionError(InputError):
    pass


class RenderError(UrsaRayError):
    exit_code = 3


class LedgerError(UrsaRayError):
    exit_code = 4


class LeaseError(LedgerError):
    exit_code = 7


class StoreError(LedgerError):
    exit_code = RenderError.exit_code


class MediaError(UrsaRayError):
    exit_code = 5


class ReplicaError(UrsaRayError):
    exit_code = 6


class LostError(ReplicaError):
    pass


class OutputError(ReplicaError):
    pass


class StopError(UrsaRayError):
    exit_code = 130
