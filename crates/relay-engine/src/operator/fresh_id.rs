//! New ids: version 4 UUIDs, because v1 serves statistics only to keys with such an id.

use relay_crypto::random_bytes;
use relay_domain::{AccountGroupId, AccountId, AdminTokenId, GroupId, KeyId};

/// A new key's id.
#[expect(clippy::expect_used, reason = "hex digits and hyphens make an id of every kind")]
pub(super) fn key_id() -> KeyId {
    KeyId::try_from(uuid(random_bytes())).expect("a UUID is an id")
}

/// A new account's id.
#[expect(clippy::expect_used, reason = "hex digits and hyphens make an id of every kind")]
pub(super) fn account_id() -> AccountId {
    AccountId::try_from(uuid(random_bytes())).expect("a UUID is an id")
}

/// A new group of accounts' id.
#[expect(clippy::expect_used, reason = "hex digits and hyphens make an id of every kind")]
pub(super) fn account_group_id() -> AccountGroupId {
    AccountGroupId::try_from(uuid(random_bytes())).expect("a UUID is an id")
}

/// A new group's id.
#[expect(clippy::expect_used, reason = "hex digits and hyphens make an id of every kind")]
pub(super) fn group_id() -> GroupId {
    GroupId::try_from(uuid(random_bytes())).expect("a UUID is an id")
}

/// A new token's id.
#[expect(clippy::expect_used, reason = "hex digits and hyphens make an id of every kind")]
pub(super) fn token_id() -> AdminTokenId {
    AdminTokenId::try_from(uuid(random_bytes())).expect("a UUID is an id")
}

/// The UUID of version 4 that `random` makes: six of its bits are the version and the variant.
fn uuid(random: [u8; 16]) -> String {
    const VERSION_4: u128 = 4 << 76;
    const VARIANT: u128 = 2 << 62;
    let bits = u128::from_be_bytes(random) & !(0xf << 76) & !(3 << 62) | VERSION_4 | VARIANT;
    let digits = format!("{bits:032x}");
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_random_uuid() {
        assert_eq!(uuid([0; 16]), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_ne!(key_id(), key_id());
        assert_eq!(account_id().as_str().len(), 36);
    }
}
