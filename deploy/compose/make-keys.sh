#!/bin/sh
# Makes, once, what `docker compose up` needs to speak to the emulator as to a real account: the user's key pair, and a
# certificate for the host name `emulator` signed by an authority that clients are told to trust (ca_file).
set -eu
cd /keys
[ -e authority.pem ] && exit 0

openssl genrsa -out key.pem 2048
openssl rsa -in key.pem -pubout -out public.pem

openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=Thaw try-out authority" \
    -addext "basicConstraints=critical,CA:TRUE" -keyout authority-key.pem -out authority.new
openssl req -newkey rsa:2048 -nodes -subj "/CN=emulator" -keyout server-key.pem -out server.csr
printf 'subjectAltName=DNS:emulator,DNS:localhost,IP:127.0.0.1\n' >server.ext
openssl x509 -req -days 3650 -in server.csr -CA authority.new -CAkey authority-key.pem -CAcreateserial \
    -extfile server.ext -out server.pem

# The containers run as a user of their own; the authority's key is needed no more.
rm -f authority-key.pem server.csr server.ext
chmod 0444 ./*.pem
mv authority.new authority.pem
chmod 0444 authority.pem
