"""A pause ends, whatever the instance does with the requests that it then gets."""

from __future__ import annotations

import os
import socket
import stat
import threading
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.host.run import pausing

from tests.patience import patience


def test_a_pause_ends_though_the_instance_answers_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It accepts no connection, so each request waits for it: more of them than are passed on at a time."""
    monkeypatch.setattr(pausing, "AT_ONCE", 4)
    run, release = tmp_path / "run/one", tmp_path / "release"
    run.mkdir(parents=True)
    release.mkdir()
    (release / "run").symlink_to(run)
    with closing(socket.socket(socket.AF_UNIX)) as instance:
        instance.bind(str(run / "app.sock"))
        instance.listen(0)
        os.chmod(run / "app.sock", 0o760)
        manifest: Any = SimpleNamespace(
            path=str(release), run=str(run), socket=str(run / "app.sock"), timeouts=SimpleNamespace(request=1)
        )
        pause = pausing.Pause(manifest)
        # nginx keeps no connection to it.
        assert stat.S_IMODE(os.stat(tmp_path / "run/pause/app.sock").st_mode) == 0o660
        clients = [socket.socket(socket.AF_UNIX) for _ in range(12)]
        for client in clients:
            client.connect(str(tmp_path / "run/pause/app.sock"))
        ended = threading.Thread(target=pause.end, args=(manifest,), daemon=True)
        begun = time.monotonic()
        ended.start()
        ended.join(patience(10))
        assert not ended.is_alive(), "the deploy hangs"
        assert time.monotonic() - begun < patience(5)
        assert os.readlink(release / "run") == str(run)
        for client in clients:
            client.close()
