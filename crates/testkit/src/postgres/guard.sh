# Waits until nobody holds the other end of the input any more: the process that uses the server lets
# go of it, or is gone, killed or not. Then ends the server of the folder $1 and removes the folder.
read -r _

# Who works in the folder, or in the data folder in it.
users() {
    for cwd in /proc/[0-9]*/cwd; do
        if [ "$cwd" -ef "$1" ] || [ "$cwd" -ef "$1/data" ]; then
            pid=${cwd#/proc/}
            echo "${pid%/cwd}"
        fi
    done
}

looks=0
users=$(users "$1")
while [ -n "$users" ]; do
    # Stopped processes would not hear it. An initdb is left to end by itself: ended, it would leave
    # shared memory; its lock files name no process that could be told anything.
    kill -CONT $users
    server=$(head -n 1 "$1/data/postmaster.pid")
    [ "/proc/$server/cwd" -ef "$1/data" ] && kill -QUIT "$server"
    looks=$((looks + 1))
    [ "$looks" -gt 1000 ] && kill -KILL $users
    sleep 0.02
    users=$(users "$1")
done
rm -rf "$1"
