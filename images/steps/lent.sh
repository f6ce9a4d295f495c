# Sourced by build steps: the lent certificates and the configuration of pip and npm, where a build was lent any.
if [ -s /dev/shm/ca ]; then
    export PIP_CERT=/dev/shm/ca SSL_CERT_FILE=/dev/shm/ca npm_config_cafile=/dev/shm/ca
fi
if [ -s /dev/shm/pipconf ]; then export PIP_CONFIG_FILE=/dev/shm/pipconf; fi
if [ -s /dev/shm/npmrc ]; then export npm_config_userconfig=/dev/shm/npmrc; fi
