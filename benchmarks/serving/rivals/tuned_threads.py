"""gunicorn, tuned by hand for slow requests as well: threads, and connections that nginx keeps open."""

import multiprocessing

worker_class = "gthread"
# Python uses one core for each process, so a worker for each. Threads serve requests beside slow ones.
workers = multiprocessing.cpu_count()
threads = 8
# Longer than nginx keeps an idle connection (60 s), so that nginx never sends on one that gunicorn closes.
keepalive = 75
backlog = 2048
# The heartbeat's file is in memory, so that no disk blocks a worker.
worker_tmp_dir = "/dev/shm"
control_socket_disable = True
