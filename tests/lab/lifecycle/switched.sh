# A guest during which the accounting is switched off and on: that is for VMs that are
# made from then on, and changes nothing for this one.
toggle() {
	for value in 0 1; do
		echo $value >/sys/module/kvm/parameters/exit_stats
		usleep 30000
	done
	echo toggled >>/out/toggles
}
guest --name t --cpus 2 &
until [ -e /run/guest/t.status ]; do usleep 100000; done
until_ready 1 t toggle
end
