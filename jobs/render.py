"""Entry point for a cluster: ray job submit --working-dir . -- python jobs/render.py STORYBOARD [options]

It takes the arguments of `ursa-ray render` and renders on the cluster that the job runs on.
"""

import sys

from ursa_ray.cli import main

if __name__ == "__main__":
    main(["render", *sys.argv[1:]])
