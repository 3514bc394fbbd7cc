//! Domain values with sensible defaults; a test changes what it is about with struct update syntax.

#![expect(clippy::expect_used, reason = "a test that asks for an impossible id is to fail")]

use relay_domain::{
    Account, AccountHealth, AccountId, AccountKind, ApiKey, Expiry, KeyDigest, KeyId, Limits,
    ModelMap, Permissions, Platform, Priority, ProxySetting, SealedSecret, Timestamp,
};

/// The moment at which tests play: 2026-01-01T00:00:00Z.
pub const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// An active key without limits, named like its id, with a digest of its own.
///
/// # Panics
///
/// If `id` is no id.
#[must_use]
pub fn api_key(id: &str) -> ApiKey {
    ApiKey {
        id: KeyId::try_from(id).expect("a key's id"),
        digest: digest_of(id),
        name: id.to_owned(),
        description: String::new(),
        is_active: true,
        deleted: None,
        expiry: Expiry::Never,
        permissions: Permissions::All,
        restricted_models: Vec::new(),
        bound_claude_account: None,
        bound_codex_account: None,
        limits: Limits::default(),
        tags: Vec::new(),
        created_by: "admin".to_owned(),
        created_at: NOW,
        updated_at: None,
        last_used_at: None,
    }
}

/// A healthy, shared Claude Console account that serves every model, named like its id.
///
/// # Panics
///
/// If `id` is no id.
#[must_use]
pub fn account(id: &str) -> Account {
    Account {
        id: AccountId::try_from(id).expect("an account's id"),
        platform: Platform::ClaudeConsole,
        name: id.to_owned(),
        description: String::new(),
        base_url: "https://api.example.com".to_owned(),
        secret: SealedSecret::new("sealed".to_owned()),
        priority: Priority::DEFAULT,
        models: ModelMap::default(),
        user_agent: None,
        proxy: ProxySetting::Direct,
        is_active: true,
        schedulable: true,
        kind: AccountKind::Shared,
        rate_limit_minutes: 60,
        daily_quota: None,
        max_concurrent: None,
        health: AccountHealth::default(),
        created_at: NOW,
        updated_at: None,
        last_used_at: None,
    }
}

/// Differs whenever the id does; nothing is hashed, for tests compare digests and never compute them.
fn digest_of(id: &str) -> KeyDigest {
    let mut bytes = [0; 32];
    for (at, byte) in id.bytes().enumerate() {
        bytes[at % 32] = u8::wrapping_add(bytes[at % 32], byte).rotate_left(1);
    }
    KeyDigest::new(bytes)
}
