"""`python -m ursa_ray.evaluation`: apart from the command, since worker processes cannot import functions of a main."""

import sys

from ursa_ray.evaluation.command import main

if __name__ == "__main__":
    sys.exit(main())
