# A guest whose threads, so its vCPUs, are moved from CPU to CPU. (Needs two.)
move() {
	for mask in 1 2; do
		for task in /proc/$(pidof qemu-system-x86_64)/task/*; do
			taskset -p $mask "${task##*/}" >/dev/null 2>&1
		done
		usleep 20000
		echo moved >>/out/moves
	done
}
guest --name m --cpus 2 &
m=$!
until_gone $m move
wait $m || exit
end
