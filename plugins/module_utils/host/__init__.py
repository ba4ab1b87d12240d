"""What Slipway does on a host: run instances, gate them, switch between them, retire and remove them.

Standard library only, Python 3.10 or newer. Nothing is derived here. Building a release gets a job from the controller.
Starting it, switching to it and removing it need only the app's root and the release id: the release's `manifest.json` has
the rest.
"""
