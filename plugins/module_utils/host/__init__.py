"""What Slipway does on a host: run instances, gate them, switch between them, retire and remove them.

Standard library only, Python 3.10 or newer. Everything is read from the releases' own `manifest.json`. Nothing is derived
here, and nothing comes from the controller except an app's root and a release's id.
"""
