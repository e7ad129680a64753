"""`ursa-ray`, and `python -m ursa_ray`."""

import signal


def main() -> None:
    # Ctrl-C while commands are imported ends the process as the shell's own do, instead of with a traceback from the
    # depths of a library. Once they are, `cli.app.main` hears of it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from ursa_ray.cli import main as run_command

    run_command()


if __name__ == "__main__":
    main()
