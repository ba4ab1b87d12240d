#!/bin/sh
# The least that any deploy must do which starts the new release beside the old one, over the same ssh connection: one
# call, everything in order, nothing checked that is not used. What it leaves out is what a kit is for.
#
# floor.sh OPERATION, with SSH (a command), APP (the app's folder), NUMBER (of the release) and VALUE (a setting) in the
# environment.
set -eu

# shellcheck disable=SC2016 # the host expands it
remote='
set -eu
root=/srv/floor; release=$root/releases/$NUMBER; new=floor-$NUMBER
old=$(readlink $root/current 2>/dev/null || true)
setup() {
    useradd --system --home-dir $root --shell /usr/sbin/nologin floor
    mkdir -p $root/releases $root/venvs /etc/nginx/conf.d
    python3 -m venv /opt/floor-uv && /opt/floor-uv/bin/pip install -q uv
    printf "server {\n  listen 80 default_server;\n  location / {\n    proxy_pass http://unix:$root/current/run/app.sock;\n    proxy_set_header Host \$host;\n  }\n}\n" > /etc/nginx/conf.d/floor.conf
}
build() {
    mkdir -p $release && tar -xz -C $release
    lock=$(sha256sum < $release/requirements.txt | cut -c1-16) venv=$root/venvs/$lock
    if [ ! -d $venv ]; then
        /opt/floor-uv/bin/uv -q venv $venv
        /opt/floor-uv/bin/uv -q pip install --python $venv/bin/python --compile-bytecode --require-hashes -r $release/requirements.txt
        /opt/floor-uv/bin/uv -q pip install --python $venv/bin/python --compile-bytecode gunicorn==27.0.1
    fi
    ln -s $venv $release/venv && ln -s /run/$new $release/run
    printf "bind = \"unix:/run/$new/app.sock\"\nworkers = 2\nthreads = 6\numask = 0\n" > $release/gunicorn.conf.py
    printf "[Service]\nType=notify\nUser=floor\nRuntimeDirectory=$new\nWorkingDirectory=$release\nEnvironment=ROUND=$VALUE\nExecStart=$release/venv/bin/gunicorn -c $release/gunicorn.conf.py web:app\nRestart=always\n[Install]\nWantedBy=multi-user.target\n" > /etc/systemd/system/$new.service
    systemctl daemon-reload
}
start() {
    systemctl start $new
    until curl -sf --max-time 5 --unix-socket /run/$new/app.sock http://localhost/release >/dev/null; do sleep 0.05; done
}
switch() {
    ln -s releases/$NUMBER $root/next && mv -T $root/next $root/current
    systemctl -q enable $new
    if [ -n "$old" ]; then systemctl disable -q --now floor-${old#releases/}; fi
}
case $OPERATION in
    first) setup; build; start; switch; systemctl reload nginx ;;
    nothing) cat > /tmp/wanted; sha256sum < /tmp/wanted > /tmp/sum; test -L $root/current ;;
    rollback) start; switch ;;
    *) build; start; switch ;;
esac
'

OPERATION=$1
if [ "$OPERATION" = rollback ]; then tree=/dev/null; else tree=-; fi
# shellcheck disable=SC2086 # a command and its options
{ [ "$tree" = /dev/null ] || tar -C "$APP" -cz .; } |
    $SSH "OPERATION=$OPERATION NUMBER=$NUMBER VALUE=$VALUE; $remote"
