"""What Slipway costs, as ratios to named rivals: `make bench`."""

import sys
from pathlib import Path

# The kit's own code is a collection, which Python finds only by this folder.
sys.path.insert(0, str(Path(__file__).parents[1] / "collections"))
