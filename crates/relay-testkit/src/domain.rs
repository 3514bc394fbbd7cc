//! Domain values with sensible defaults; a test changes what it is about with struct update syntax.

#![expect(clippy::expect_used, reason = "a test that asks for an impossible id is to fail")]

use relay_domain::{
    Account, AccountBinding, AccountHealth, AccountId, AccountKind, ApiKey, Expiry, KeyDigest,
    KeyId, KeyUser, Limits, ModelMap, Multiplier, OnDisconnect, Permissions, Platform, Priority,
    ProxySetting, Restriction, SealedSecret, ServiceRates, Timestamp, WindowCaps,
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
        retiring: None,
        name: id.to_owned(),
        description: String::new(),
        icon: String::new(),
        is_active: true,
        deleted: None,
        restored: None,
        expiry: Expiry::NEVER,
        permissions: Permissions::All,
        restricted_models: Restriction::default(),
        allowed_clients: Restriction::default(),
        claude_binding: AccountBinding::Pool,
        codex_binding: AccountBinding::Pool,
        group: None,
        limits: Limits::default(),
        idle_window: WindowCaps::default(),
        service_rates: ServiceRates::default(),
        unpriced: None,
        queue: None,
        tags: Vec::new(),
        user: KeyUser::default(),
        created_by: "admin".to_owned(),
        created_at: NOW,
        updated_at: None,
        last_used_at: None,
        revision: 0,
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
        limits: Limits::default(),
        rate: Multiplier::ONE,
        subscription_ends: None,
        on_disconnect: OnDisconnect::Abort,
        error_message: String::new(),
        health: AccountHealth::default(),
        created_at: NOW,
        updated_at: None,
        last_used_at: None,
        revision: 0,
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
