# A guest whose threads, so its vCPUs, are moved from CPU to CPU, and which checks the
# interface again and again meanwhile. (Needs two CPUs.)
move() {
	for mask in 1 2; do
		taskset -ap $mask "$(pidof qemu-system-x86_64)" >/dev/null 2>&1 &&
			echo moved >>/out/moves
		usleep 20000
	done
}
guest --name m --cpus 2 --append lab.check &
until_ready 1 m move
cp /run/guest/m.status /out/m
end
