# Two VMs at once, one of them with two vCPUs.
guest --name a &
guest --name b --cpus 2 &
until_ready 1 a
until_ready 1 b
cp /run/guest/a.status /out/a
cp /run/guest/b.status /out/b
end
