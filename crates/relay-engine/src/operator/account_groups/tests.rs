use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use relay_domain::{AccountBinding, ApiKey};
use relay_store::{
    AuditQuery, MockAccountGroupRepository, MockAccountRepository, MockGroupRepository, Stores,
};

use super::*;
use crate::operator::fixture::{Desk, refused_field, root};
use crate::operator::{NewAccount, NewGroup, NewKey};

async fn account(desk: &Desk, platform: Platform) -> AccountId {
    let new = NewAccount::new(platform, "https://api.example.com", "sk-1".into());
    desk.operator.create_account(&root(), new).await.unwrap().id
}

fn new_group(members: &[&AccountId]) -> NewAccountGroup {
    NewAccountGroup {
        name: "team".to_owned(),
        platform: Platform::ClaudeConsole,
        description: String::new(),
        members: members.iter().map(|member| (*member).clone()).collect(),
    }
}

#[tokio::test]
async fn a_group_holds_accounts_of_its_platform() {
    let desk = Desk::new();
    let (claude, codex) =
        (account(&desk, Platform::ClaudeConsole).await, account(&desk, Platform::Codex).await);
    let unknown = AccountId::try_from("unknown").unwrap();
    for (name, new, field) in [
        ("no members", new_group(&[]), ""),
        ("one of its platform", new_group(&[&claude]), ""),
        ("one of another", new_group(&[&claude, &codex]), "accountIds"),
        ("one that is not there", new_group(&[&unknown]), "accountIds"),
        ("no name", NewAccountGroup { name: " ".to_owned(), ..new_group(&[]) }, "name"),
    ] {
        let made = desk.operator.create_account_group(&root(), new).await;
        assert_eq!(refused_field(made), field, "{name}");
    }
}

#[tokio::test]
async fn a_member_that_was_there_stays_though_nobody_knows_it() {
    let desk = Desk::new();
    let unknown = AccountId::try_from("of-v1-alone").unwrap();
    let group = AccountGroup {
        id: AccountGroupId::try_from("g").unwrap(),
        name: "old".to_owned(),
        platform: Platform::ClaudeConsole,
        description: String::new(),
        members: BTreeSet::from([unknown.clone()]),
        created_at: desk.operator.clock.now(),
        updated_at: None,
        revision: 0,
    };
    desk.stores.account_groups.import(&group).await.unwrap();
    let member = account(&desk, Platform::ClaudeConsole).await;
    let edit = |group: &mut AccountGroup| {
        group.members.insert(member.clone());
    };
    let changed =
        desk.operator.update_account_group(&root(), &group.id, Some(0), &edit).await.unwrap();
    assert_eq!(changed.members, BTreeSet::from([unknown, member.clone()]));
    assert_eq!(changed.revision, 1);
    let stale = desk.operator.update_account_group(&root(), &group.id, Some(0), &edit).await;
    assert!(matches!(stale, Err(OperatorError::Stale { current: 1 })), "{stale:?}");
    let trail =
        desk.stores.audit.page(&AuditQuery { limit: 1, ..AuditQuery::default() }).await.unwrap();
    assert_eq!(trail.entries[0].action, "account_group.update");
}

#[tokio::test]
async fn a_group_that_keys_are_bound_to_stays() {
    let desk = Desk::new();
    let group = desk.operator.create_account_group(&root(), new_group(&[])).await.unwrap();
    let bound =
        || NewKey { claude_binding: AccountBinding::Group(group.id.clone()), ..NewKey::default() };
    let (one, _) = desk.operator.create_key(&root(), bound()).await.unwrap();
    let (two, _) = desk.operator.create_key(&root(), bound()).await.unwrap();
    let refused =
        desk.operator.delete_account_group(&root(), &group.id, Some(0)).await.unwrap_err();
    assert_eq!(refused.to_string(), "2 API keys are bound to this group of accounts");
    desk.operator.delete_key(&root(), &one.id, None).await.unwrap();
    let refused = desk.operator.delete_account_group(&root(), &group.id, None).await.unwrap_err();
    assert_eq!(refused.to_string(), "1 API key is bound to this group of accounts");
    let unbind = |key: &mut ApiKey| key.claude_binding = AccountBinding::Pool;
    desk.operator.update_key(&root(), &two.id, None, &unbind).await.unwrap();
    desk.operator.delete_account_group(&root(), &group.id, None).await.unwrap();
    assert_eq!(desk.operator.account_groups().await.unwrap(), []);
}

#[tokio::test]
async fn a_key_is_bound_to_groups_of_its_platform_alone() {
    let desk = Desk::new();
    let group = desk.operator.create_account_group(&root(), new_group(&[])).await.unwrap();
    let binding = || AccountBinding::Group(group.id.clone());
    for (name, new, field) in [
        ("its platform", NewKey { claude_binding: binding(), ..NewKey::default() }, ""),
        ("another", NewKey { codex_binding: binding(), ..NewKey::default() }, "codexAccountId"),
        (
            "no group",
            NewKey { claude_binding: AccountBinding::parse("group:x"), ..NewKey::default() },
            "claudeConsoleAccountId",
        ),
        (
            "nothing that could be one",
            NewKey { claude_binding: AccountBinding::Unusable, ..NewKey::default() },
            "claudeConsoleAccountId",
        ),
    ] {
        assert_eq!(refused_field(desk.operator.create_key(&root(), new).await), field, "{name}");
    }
}

#[tokio::test]
async fn a_group_that_goes_before_a_key_is_written_is_as_one_that_never_was() {
    let real = Desk::new();
    let group = real.operator.create_account_group(&root(), new_group(&[])).await.unwrap();
    real.operator.delete_account_group(&root(), &group.id, None).await.unwrap();
    let (key, _) = real.operator.create_key(&root(), NewKey::default()).await.unwrap();
    let (looks, found) = (AtomicUsize::new(0), group.clone());
    let mut groups = MockAccountGroupRepository::new();
    // Whoever looks finds it, and finds it gone when looking again.
    groups.expect_get().times(6).returning(move |_| {
        let is_there = looks.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
        Ok(is_there.then(|| found.clone()))
    });
    let desk = Desk::on(Stores { account_groups: Arc::new(groups), ..real.stores.clone() });
    let binding = || AccountBinding::Group(group.id.clone());
    let new = || NewKey { claude_binding: binding(), ..NewKey::default() };
    let made = desk.operator.create_key(&root(), new()).await;
    assert_eq!(refused_field(made), "claudeConsoleAccountId");
    let made = desk.operator.create_keys(&root(), new(), 3).await;
    assert_eq!(refused_field(made), "claudeConsoleAccountId");
    let bind = |key: &mut ApiKey| key.claude_binding = binding();
    let changed = desk.operator.update_key(&root(), &key.id, None, &bind).await;
    assert_eq!(refused_field(changed), "claudeConsoleAccountId");
    assert_eq!(real.stores.keys.list().await.unwrap(), [key]);
}

#[tokio::test]
async fn an_account_that_goes_before_a_group_is_written_is_as_one_that_never_was() {
    let real = Desk::new();
    let group = real.operator.create_account_group(&root(), new_group(&[])).await.unwrap();
    let id = account(&real, Platform::ClaudeConsole).await;
    let found = real.stores.accounts.get(&id).await.unwrap().unwrap();
    real.operator.delete_account(&root(), &id, None).await.unwrap();
    let looks = AtomicUsize::new(0);
    let mut accounts = MockAccountRepository::new();
    // Whoever looks finds it, and finds it gone when looking again.
    accounts.expect_get().times(4).returning(move |_| {
        let is_there = looks.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
        Ok(is_there.then(|| found.clone()))
    });
    let desk = Desk::on(Stores { accounts: Arc::new(accounts), ..real.stores.clone() });
    let made = desk.operator.create_account_group(&root(), new_group(&[&id])).await;
    assert_eq!(refused_field(made), "accountIds");
    let join = |group: &mut AccountGroup| group.members = BTreeSet::from([id.clone()]);
    let changed = desk.operator.update_account_group(&root(), &group.id, None, &join).await;
    assert_eq!(refused_field(changed), "accountIds");
    assert_eq!(real.stores.account_groups.list().await.unwrap(), [group]);
}

#[tokio::test]
async fn a_group_of_keys_that_goes_before_a_key_is_written_is_as_one_that_never_was() {
    let real = Desk::new();
    let new = NewGroup { name: "team".to_owned(), ..NewGroup::default() };
    let group = real.operator.create_group(&root(), new).await.unwrap();
    real.operator.delete_group(&root(), &group.id, None).await.unwrap();
    let (key, _) = real.operator.create_key(&root(), NewKey::default()).await.unwrap();
    let (looks, found) = (AtomicUsize::new(0), group.clone());
    let mut groups = MockGroupRepository::new();
    groups.expect_get().times(6).returning(move |_| {
        let is_there = looks.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
        Ok(is_there.then(|| found.clone()))
    });
    let desk = Desk::on(Stores { groups: Arc::new(groups), ..real.stores.clone() });
    let new = || NewKey { group: Some(group.id.clone()), ..NewKey::default() };
    assert_eq!(refused_field(desk.operator.create_key(&root(), new()).await), "groupId");
    assert_eq!(refused_field(desk.operator.create_keys(&root(), new(), 3).await), "groupId");
    let join = |key: &mut ApiKey| key.group = Some(group.id.clone());
    let changed = desk.operator.update_key(&root(), &key.id, None, &join).await;
    assert_eq!(refused_field(changed), "groupId");
    assert_eq!(real.stores.keys.list().await.unwrap(), [key]);
}

#[tokio::test]
async fn a_removed_account_is_noted_with_the_groups_that_it_leaves() {
    let desk = Desk::new();
    let (gone, stays) = (
        account(&desk, Platform::ClaudeConsole).await,
        account(&desk, Platform::ClaudeConsole).await,
    );
    let create = async |members: &[&AccountId]| {
        desk.operator.create_account_group(&root(), new_group(members)).await.unwrap()
    };
    let (group, _other) = (create(&[&gone, &stays]).await, create(&[&stays]).await);
    desk.operator.delete_account(&root(), &gone, None).await.unwrap();
    let trail =
        desk.stores.audit.page(&AuditQuery { limit: 2, ..AuditQuery::default() }).await.unwrap();
    let [left, removed] = &trail.entries[..] else { panic!("{trail:?}") };
    assert_eq!(
        (removed.action.as_str(), &removed.target_id),
        ("account.delete", &gone.to_string())
    );
    assert_eq!(left.action, "account_group.update");
    assert_eq!(left.target_id, group.id.to_string());
    let told = |text: &Option<String>| -> serde_json::Value {
        serde_json::from_str(text.as_deref().unwrap()).unwrap()
    };
    let ids =
        |members: &[&AccountId]| members.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    assert_eq!(told(&left.before)["accountIds"], serde_json::json!(ids(&[&gone, &stays])));
    assert_eq!(told(&left.after)["accountIds"], serde_json::json!(ids(&[&stays])));
    let now = desk.operator.account_group(&group.id).await.unwrap();
    assert_eq!(told(&left.after)["revision"], now.revision);
}

#[tokio::test]
async fn who_removes_a_group_at_whatever_revision_is_not_told_of_another_change() {
    let real = Desk::new();
    let group = real.operator.create_account_group(&root(), new_group(&[])).await.unwrap();
    let (found, tries) = (group.clone(), AtomicUsize::new(0));
    let mut groups = MockAccountGroupRepository::new();
    groups.expect_get().returning(move |_| Ok(Some(found.clone())));
    groups.expect_delete().times(3).returning(move |_, _| {
        let is_first = tries.fetch_add(1, Ordering::Relaxed) == 0;
        let stale = GroupRemoval::Stale { current: 1 };
        Ok(if is_first { stale } else { GroupRemoval::Done })
    });
    let desk = Desk::on(Stores { account_groups: Arc::new(groups), ..real.stores.clone() });
    desk.operator.delete_account_group(&root(), &group.id, None).await.unwrap();
    desk.operator.delete_account_group(&root(), &group.id, Some(0)).await.unwrap();
}
