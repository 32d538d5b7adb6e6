import sys

from towpath_cli import main

sys.exit(main())
