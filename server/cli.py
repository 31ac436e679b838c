"""The program `regulars`."""

import signal


def main() -> None:
    """Run the command line."""
    # Until the libraries are loaded there is nothing to put in order, so Ctrl-C simply ends the program.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from server.commands.regulars import regulars

    signal.signal(signal.SIGINT, signal.default_int_handler)
    regulars()
