# A guest that the host resets when it has booted.
mkfifo /run/mon.in /run/mon.out
cat /run/mon.out >/dev/null &
guest --name r --reboot -- -chardev pipe,id=mon,path=/run/mon -mon chardev=mon,mode=readline &
exec 9>/run/mon.in
until_ready 1 r
look first
echo system_reset >&9
until_ready 2 r
cp /run/guest/r.status /out/r
end
