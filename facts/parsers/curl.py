"""What curl reports: its exit codes, and HTTP statuses that deny access.

Source: curl(1).
"""

# curl(1), EXIT CODES: the meaning of each, for messages.
EXIT_CODES = {
    6: "the name does not resolve",
    7: "nothing listens there: the connection was refused or has no route",
    28: "no answer in time",
    35: "the TLS handshake failed",
    51: "the certificate does not carry it",
    52: "the connection was closed without an answer",
    56: "the connection was lost",
    60: "the certificate is not of the cluster's CA, not valid now, or does not carry it",
    77: "a server answers, but there is no CA certificate to verify it with",
}
NO_ACCESS = (401, 403)
