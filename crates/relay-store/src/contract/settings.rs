//! What every [`SettingsRepository`](crate::SettingsRepository) owes its callers.

use super::fixture::at_once;
use crate::{SettingsChange, SettingsName, Stores};

const NAME: SettingsName = SettingsName::PriceOverrides;

fn change(expected: Option<&str>, next: &str) -> SettingsChange {
    SettingsChange { name: NAME, expected: expected.map(str::to_owned), next: next.to_owned() }
}

async fn document(stores: &Stores, name: SettingsName) -> Option<String> {
    stores.settings.read(name).await.unwrap()
}

/// Every document is absent, then what was written, byte for byte, and none is another.
pub async fn documents_read_back_each_for_itself(stores: &Stores) {
    let large = format!("{{\"第一 🔑\": \"\\n\\u0007{}\"}}\n", "x".repeat(300_000));
    for (name, next) in SettingsName::ALL.into_iter().zip([large, "{}".to_owned()]) {
        assert_eq!(document(stores, name).await, None, "{name:?}");
        let change = SettingsChange { name, expected: None, next: next.clone() };
        assert!(stores.settings.replace(&change).await.unwrap(), "{name:?}");
        assert_eq!(document(stores, name).await, Some(next), "{name:?}");
    }
}

/// What was decided on a document that has changed since does not undo the change.
pub async fn a_document_that_has_changed_is_not_replaced(stores: &Stores) {
    let replace = async |expected: Option<&str>, next: &str| {
        stores.settings.replace(&change(expected, next)).await.unwrap()
    };
    assert!(!replace(Some("a"), "b").await, "there is none yet");
    assert_eq!(document(stores, NAME).await, None);
    assert!(replace(None, "a").await);
    for expected in [None, Some("b"), Some("A"), Some("a "), Some("")] {
        assert!(!replace(expected, "c").await, "{expected:?}");
        assert_eq!(document(stores, NAME).await.as_deref(), Some("a"), "{expected:?}");
    }
    assert!(replace(Some("a"), "a").await, "the same again is a change that was made");
    assert!(replace(Some("a"), "b").await);
    assert_eq!(document(stores, NAME).await.as_deref(), Some("b"));
}

/// Of several who change the same document one does, whether there was one or not.
pub async fn of_changes_at_once_one_is_made(stores: &Stores) {
    let mut expected: Option<String> = None;
    for round in ["first", "second"] {
        let results = at_once(["one", "two", "three", "four"].map(|who| {
            let (settings, next) = (stores.settings.clone(), format!("{round} {who}"));
            let change = change(expected.as_deref(), &next);
            async move { settings.replace(&change).await.unwrap().then_some(next) }
        }))
        .await;
        let winners: Vec<String> = results.into_iter().flatten().collect();
        assert_eq!(winners.len(), 1, "{winners:?}");
        expected = document(stores, NAME).await;
        assert_eq!(expected.as_ref(), winners.first());
    }
}
