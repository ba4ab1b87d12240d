"""gunicorn with uvicorn, tuned by hand: uvloop and httptools, which uvicorn[standard] brings, and kept connections."""

import multiprocessing

worker_class = "uvicorn_worker.UvicornWorker"
workers = multiprocessing.cpu_count()
# Longer than nginx keeps an idle connection (60 s), so that nginx never sends on one that uvicorn closes.
keepalive = 75
backlog = 2048
# The heartbeat's file is in memory, so that no disk blocks a worker.
worker_tmp_dir = "/dev/shm"
control_socket_disable = True
