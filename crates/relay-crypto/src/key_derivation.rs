//! scrypt, with the cost that the predecessors and we share.

use crate::error::CryptoError;

/// 2^14 = 16384 rounds, blocks of 8, one lane: what Node's `scryptSync` does unless told otherwise.
const LOG_N: u8 = 14;
const BLOCKS: u32 = 8;
const LANES: u32 = 1;

/// Stretches `password` and `salt` into as many bytes as `out` has. Takes tens of milliseconds.
pub(crate) fn stretch(password: &str, salt: &[u8], out: &mut [u8]) -> Result<(), CryptoError> {
    let params = scrypt::Params::new(LOG_N, BLOCKS, LANES)?;
    scrypt::scrypt(password.as_bytes(), salt, &params, out)?;
    Ok(())
}
