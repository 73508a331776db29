# Two VMs at once, one of them with two vCPUs.
guest --name a &
a=$!
guest --name b --cpus 2 || exit
wait $a || exit
cp /run/guest/a.status /out/a
cp /run/guest/b.status /out/b
end
