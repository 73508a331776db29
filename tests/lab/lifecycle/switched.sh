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
t=$!
until_gone $t toggle
wait $t || exit
end
