"""gunicorn, tuned by hand for quick answers: the class with the least work for each, and workers as gunicorn advises."""

import multiprocessing

worker_class = "sync"
# gunicorn's own formula: while one worker waits for its app, another one uses the core.
workers = 2 * multiprocessing.cpu_count() + 1
# Connections that wait for a worker.
backlog = 2048
# The heartbeat's file is in memory, so that no disk blocks a worker.
worker_tmp_dir = "/dev/shm"
control_socket_disable = True
