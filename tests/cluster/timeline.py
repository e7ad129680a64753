"""`python -m tests.cluster.timeline ADDRESS LOG`: what became of a cluster and of a render on it, as it happens.

Lines of seconds since the start and either `nodes` and how many there are besides the head, whenever that changes, or
what the render added to its log. It ends with its standard input.
"""

import select
import sys
import time
from pathlib import Path

from ray._raylet import GcsClient


def num_nodes(client: GcsClient) -> int:
    nodes = client.get_all_node_info(timeout=10).values()
    return sum(node.state == 0 and not node.is_head_node for node in nodes)


def main(address: str, log: Path) -> None:
    client, began, before, num_said = GcsClient(address=address), time.monotonic(), None, 0

    def tell(words):
        print(f"{time.monotonic() - began:6.1f} {words}", flush=True)  # noqa: T201

    while not select.select([sys.stdin], [], [], 0.2)[0]:
        if (num := num_nodes(client)) != before:
            tell(f"nodes {num}")
            before = num
        said = log.read_text().splitlines() if log.exists() else []
        for line in said[num_said:]:
            tell(line)
        num_said = len(said)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
