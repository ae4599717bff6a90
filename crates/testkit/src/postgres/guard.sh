# Waits until nobody holds the other end of the input any more: the process that uses the server lets
# go of it, or is gone, killed or not. Then ends the server of the folder $1 and removes the folder.
# The output is an end to read from: of a pipe that who works in the folder holds by his input.
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

for pid in $(users "$1"); do
    # Stopped processes would not hear it. An initdb is left to end by itself: ended, it would leave
    # shared memory. The server's first process is the one that shows our settings.
    kill -CONT "$pid"
    grep -q listen_addresses= "/proc/$pid/cmdline" && kill -QUIT "$pid"
done
# Read to the end: that of the last of them.
timeout 60 cat <&1 >/dev/null || kill -KILL $(users "$1")
rm -rf "$1"
