"""What Slipway costs, as ratios to named rivals: `make bench`."""
