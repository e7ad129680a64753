"""The same render on a Ray cluster: replicas pinned to GPUs, behind the director's executor.

Ray reads its settings when it is first imported, so nothing here imports it before `keep_private` had its chance.
"""
