"""The program `regulars`."""

import gc
import signal

_NEW_OBJECTS = 100_000


def main() -> None:
    """Run the command line."""
    # Until the libraries are loaded there is nothing to put in order, so Ctrl-C simply ends the program.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Loading makes a hundred thousand objects and no garbage; looking for some takes a tenth of the time, and would
    # again in every collection of a service that runs for weeks.
    gc.disable()
    from server.commands.regulars import regulars

    gc.freeze()
    # A few batches of sales at once make a hundred thousand objects that all end with them; a collection for every seven
    # hundred would go through them again and again, for a fifth of the whole work.
    gc.set_threshold(_NEW_OBJECTS, *gc.get_threshold()[1:])
    gc.enable()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    regulars()
