"""`python -m tui` is `regulars-console`."""

import sys

from tui.cli import main

sys.exit(main())
