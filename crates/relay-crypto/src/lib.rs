//! API key minting and digests, sealing of account secrets, passwords, admin tokens.
