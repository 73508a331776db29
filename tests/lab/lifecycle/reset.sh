# A guest that the host resets when it has booted.
mkfifo /run/mon.in /run/mon.out
cat /run/mon.out >/dev/null &
guest --name r --reboot -- -chardev pipe,id=mon,path=/run/mon -mon chardev=mon,mode=readline &
r=$!
exec 9>/run/mon.in
until_ready() {
	until [ "$(grep -c '^ready' /run/guest/r.status 2>/dev/null)" = "$1" ]; do
		kill -0 $r 2>/dev/null || exit
		sleep 0.5
	done
}
until_ready 1
sleep 2
cat $debugfs/*-*/exit_stats_raw >/out/first
echo system_reset >&9
until_ready 2
sleep 2
cat $debugfs/*-*/exit_stats_raw >/out/second
echo quit >&9
wait $r
cp /run/guest/r.status /out/r
end
