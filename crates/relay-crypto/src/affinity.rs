//! The digest that binds a conversation to an account.

use sha2::{Digest, Sha256};

/// Digests what marks a conversation, `hint`, under the API key `key_id`: the first 16 bytes of
/// SHA-256 over the parts, each preceded by its length.
///
/// Because of the lengths no two different lists of parts are digested alike, and because the key's
/// id is the first part two keys never share a digest, whatever hints their clients send.
#[must_use]
pub fn affinity(key_id: &str, hint: &[&[u8]]) -> [u8; 16] {
    let mut hasher = Sha256::new();
    update(&mut hasher, key_id.as_bytes());
    for part in hint {
        update(&mut hasher, part);
    }
    let digest: [u8; 32] = hasher.finalize().into();
    std::array::from_fn(|i| digest[i])
}

fn update(hasher: &mut Sha256, part: &[u8]) {
    // As 64 bits everywhere: instances on different platforms share bindings.
    hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
    hasher.update(part);
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_same_conversation_of_the_same_key_is_the_same() {
        assert_eq!(affinity("k-one", &[b"session", b"1"]), affinity("k-one", &[b"session", b"1"]));
    }

    #[test]
    fn it_is_the_start_of_the_digest_of_length_prefixed_parts() {
        let written = b"\x05\0\0\0\0\0\0\0k-one\x02\0\0\0\0\0\0\0hi";
        assert_eq!(affinity("k-one", &[b"hi"]), Sha256::digest(written)[..16]);
    }

    #[test]
    fn parts_never_run_into_each_other() {
        let lists: [(&str, &[&[u8]]); 9] = [
            ("k", &[]),
            ("k", &[b""]),
            ("k", &[b"", b""]),
            ("k", &[b"ab"]),
            ("k", &[b"a", b"b"]),
            ("k", &[b"", b"ab"]),
            ("ka", &[b"b"]),
            ("kab", &[]),
            ("", &[b"k", b"ab"]),
        ];
        let digests: HashSet<[u8; 16]> =
            lists.iter().map(|(key_id, hint)| affinity(key_id, hint)).collect();
        assert_eq!(digests.len(), lists.len());
    }
}
