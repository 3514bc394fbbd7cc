//! Which accounts may serve a key, in v1's and v2's fields.
//!
//! v1 has a field for each kind of account, and writes `group:` and an id into its first one of a platform.
//! Such a group comes before all else, as in v1.

use relay_domain::{AccountBinding, AccountId, ApiKey};

use crate::hash::Hash;

/// v1's accounts of Claude by OAuth, which Relay does not know, and groups of any accounts of Claude.
const CLAUDE: &str = "claudeAccountId";
const CLAUDE_CONSOLE: &str = "claudeConsoleAccountId";
/// v1's accounts of `OpenAI` by OAuth, which Relay does not know, its Codex accounts, and groups of both.
const OPENAI: &str = "openaiAccountId";
/// v2's.
const CODEX: &str = "codexAccountId";
/// What stands before one of v1's Codex accounts.
const RESPONSES: &str = "responses:";
const GROUP: &str = "group:";
/// Every field that a binding is in.
pub(super) const FIELDS: [&str; 4] = [CLAUDE, CLAUDE_CONSOLE, OPENAI, CODEX];

/// The Claude Console accounts that may serve a key.
pub(super) fn claude(hash: &Hash) -> AccountBinding {
    let group = hash.text(CLAUDE).filter(|text| text.starts_with(GROUP));
    AccountBinding::parse(group.or_else(|| hash.text(CLAUDE_CONSOLE)).unwrap_or_default())
}

/// The Codex accounts that may serve a key.
pub(super) fn codex(hash: &Hash) -> AccountBinding {
    let of_v1 = hash.text(OPENAI).unwrap_or_default();
    if let Some(account) = of_v1.strip_prefix(RESPONSES) {
        let account = AccountId::try_from(account).map(AccountBinding::Account);
        return account.unwrap_or(AccountBinding::Unusable);
    }
    let group = Some(of_v1).filter(|text| text.starts_with(GROUP));
    AccountBinding::parse(group.or_else(|| hash.text(CODEX)).unwrap_or_default())
}

/// The accounts of v1's that Relay does not know, to which a key is bound that the pool serves in their place.
pub(crate) fn to_unknown_accounts(hash: &Hash) -> impl Iterator<Item = &str> {
    let unknown = |field, binding| hash.text(field).filter(|_| binding == AccountBinding::Pool);
    [unknown(CLAUDE, claude(hash)), unknown(OPENAI, codex(hash))].into_iter().flatten()
}

/// The fields of a key's bindings.
pub(super) fn fields(key: &ApiKey) -> [(&'static str, String); 4] {
    let [claude, console] = match key.claude_binding.text() {
        Some(text) if text.starts_with(GROUP) => [text, String::new()],
        text => [String::new(), text.unwrap_or_default()],
    };
    let [openai, codex] = match (&key.codex_binding, key.codex_binding.text()) {
        (AccountBinding::Account(_), Some(id)) => [format!("{RESPONSES}{id}"), id],
        (_, text) => [text.unwrap_or_default(), String::new()],
    };
    [(CLAUDE, claude), (CLAUDE_CONSOLE, console), (OPENAI, openai), (CODEX, codex)]
}

/// Adds to `changes` the fields that stand in the way of a binding that is another one now, though the key
/// as it was read does not tell of them.
pub(super) fn complete(
    changes: &mut Vec<(&'static str, String)>,
    hash: &Hash,
    old: &ApiKey,
    new: &ApiKey,
) {
    let is_other = |field| match field {
        CLAUDE | CLAUDE_CONSOLE => old.claude_binding != new.claude_binding,
        _ => old.codex_binding != new.codex_binding,
    };
    for (field, text) in fields(new) {
        let stored = hash.text(field).unwrap_or_default();
        // v1's binding to an account that Relay does not know is not Relay's to undo.
        let is_unknown = text.is_empty()
            && match field {
                CLAUDE => !stored.starts_with(GROUP),
                OPENAI => !stored.starts_with(GROUP) && !stored.starts_with(RESPONSES),
                _ => false,
            };
        let is_known = changes.iter().any(|(known, _)| *known == field);
        if is_other(field) && stored != text && !is_unknown && !is_known {
            changes.push((field, text));
        }
    }
}

#[cfg(test)]
mod tests {
    use relay_store::contract::fixture::key;

    use super::*;
    use crate::guarded_write::changed;

    #[test]
    fn bindings_of_both_predecessors_are_read() {
        let cases = [
            (vec![], None, None),
            (vec![(CLAUDE, "oauth"), (OPENAI, "oauth")], None, None),
            (vec![(CLAUDE_CONSOLE, "a"), (OPENAI, "responses:b")], Some("a"), Some("b")),
            (vec![(CODEX, "b")], None, Some("b")),
            (vec![(OPENAI, "oauth"), (CODEX, "b")], None, Some("b")),
            (vec![(CLAUDE, "group:g"), (OPENAI, "group:h")], Some("group:g"), Some("group:h")),
            (
                vec![(CLAUDE, "group:g"), (CLAUDE_CONSOLE, "a"), (OPENAI, "group:h"), (CODEX, "b")],
                Some("group:g"),
                Some("group:h"),
            ),
            (
                vec![(CLAUDE_CONSOLE, "group:g"), (CODEX, "group:h")],
                Some("group:g"),
                Some("group:h"),
            ),
            (vec![(CLAUDE, "group:"), (OPENAI, "group:a:b")], Some("group:"), Some("group:")),
            (vec![(OPENAI, "responses:")], None, Some("group:")),
        ];
        for (pairs, claude_text, codex_text) in cases {
            let hash = hash_of(&pairs);
            assert_eq!(claude(&hash).text().as_deref(), claude_text, "{pairs:?}");
            assert_eq!(codex(&hash).text().as_deref(), codex_text, "{pairs:?}");
        }
    }

    #[test]
    fn accounts_that_relay_does_not_know_are_named_where_the_pool_serves() {
        let named = |pairs: &[_]| {
            let hash = hash_of(pairs);
            to_unknown_accounts(&hash).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(named(&[(CLAUDE, "one"), (OPENAI, "two")]), ["one", "two"]);
        assert!(named(&[(CLAUDE, "one"), (CLAUDE_CONSOLE, "a")]).is_empty());
        assert!(named(&[(CLAUDE, "group:g"), (OPENAI, "responses:b")]).is_empty());
        assert!(named(&[(CLAUDE, ""), (OPENAI, "group:")]).is_empty());
    }

    #[test]
    fn another_binding_holds_whatever_stood_there() {
        let texts = ["", "a", "group:g", "group:"];
        let before = [
            vec![(CLAUDE, "oauth"), (CLAUDE_CONSOLE, "b"), (OPENAI, "oauth"), (CODEX, "b")],
            vec![(CLAUDE_CONSOLE, "group:h"), (CODEX, "group:h")],
            vec![(CLAUDE, "group:h"), (CLAUDE_CONSOLE, "b"), (OPENAI, "group:h"), (CODEX, "b")],
            vec![(CLAUDE, "group:x:y"), (OPENAI, "responses:b")],
        ];
        for (stored, text) in before.iter().flat_map(|stored| texts.map(|text| (stored, text))) {
            let read = hash_of(stored);
            let bound = |hash: &Hash| (claude(hash), codex(hash));
            let (claude_binding, codex_binding) = bound(&read);
            let old = ApiKey { claude_binding, codex_binding, ..key("k", 1) };
            let binding = AccountBinding::parse(text);
            let (claude_binding, codex_binding) = (binding.clone(), binding.clone());
            let new = ApiKey { claude_binding, codex_binding, ..old.clone() };
            let mut changes = changed(&fields(&old), fields(&new).into());
            complete(&mut changes, &read, &old, &new);
            let mut written = stored.clone();
            written.retain(|(field, _)| !changes.iter().any(|(changed, _)| changed == field));
            written.extend(changes.iter().map(|(field, text)| (*field, text.as_str())));
            assert_eq!(
                bound(&hash_of(&written)),
                (binding.clone(), binding),
                "{stored:?} to {text:?}"
            );
        }
    }

    #[test]
    fn a_binding_to_what_relay_does_not_know_stays_until_it_stands_in_the_way() {
        let read = hash_of(&[(CLAUDE, "oauth"), (OPENAI, "oauth")]);
        let old = key("k", 1);
        let bound = |text: &str| {
            let binding = AccountBinding::parse(text);
            let new =
                ApiKey { claude_binding: binding.clone(), codex_binding: binding, ..old.clone() };
            let mut changes = changed(&fields(&old), fields(&new).into());
            complete(&mut changes, &read, &old, &new);
            let changes = changes.into_iter().map(|(field, _)| field);
            changes.collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(bound(""), [].into());
        assert_eq!(bound("a"), [CLAUDE_CONSOLE, OPENAI, CODEX].into());
        assert_eq!(bound("group:g"), [CLAUDE, OPENAI].into());
    }

    fn hash_of(pairs: &[(&'static str, &str)]) -> Hash {
        pairs.iter().map(|(field, text)| (*field, (*text).to_owned())).collect()
    }
}
