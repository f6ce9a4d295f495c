#!/bin/sh
# Build step: the user the agent is, the places it sees, and the list of what is installed.
set -eu
# By hand: useradd would write today's date into /etc/shadow.
grep -q '^agent:' /etc/passwd || {
    echo 'agent:x:1000:1000:agent:/home/agent:/bin/bash' >>/etc/passwd
    echo 'agent:x:1000:' >>/etc/group
    echo 'agent:!:20000:0:99999:7:::' >>/etc/shadow
}
mkdir -p /home/agent /workspace /pool /run/curation /usr/share/curation
chown 1000:1000 /home/agent /workspace
# Mount point of the submit command: the root is read-only at run time, so it must be there now.
: >/usr/local/bin/curate
chmod 0755 /usr/local/bin/curate
# Nothing may raise its rights: no-new-privileges already says so, this says it again.
find / -xdev -perm /6000 -type f -exec chmod a-s {} +
dpkg-query -W >/usr/share/curation/packages.txt
/opt/python/bin/pip freeze --all --disable-pip-version-check >/usr/share/curation/python.txt
rm -rf /root/.cache /tmp/*
