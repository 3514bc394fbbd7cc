//! A key that a v1 bound to a group of accounts: it is served by the group's members and by nobody else.

use std::collections::BTreeSet;

use relay_e2e::{Answer, Relay, Request, Upstream};
use relay_sandbox::Step;
use serde_json::json;

use super::fixture::{Fixture, V1_KEY, V1_KEY_ID};
use super::v1_reader::V1Reader;
use super::{command, left_by, log_in};
use crate::redis_client::RedisClient;

/// An account of the fixture's that works.
const MODEL_ACCOUNT: &str = "9587c04b-d968-4df8-81a7-48f8307b10d1";
const GROUP: &str = "5d0f6a52-6a5b-4a8e-9a39-0d7e0c7c3f10";
const MEMBERS: [&str; 2] = ["member-one", "member-two"];

/// Puts an account like the fixture's into Redis, as a v1 does.
fn add_account(client: &mut RedisClient, id: &str, kind: &str, upstream: &Upstream) {
    let fields = client.texts(&["HGETALL", &format!("claude_console_account:{MODEL_ACCOUNT}")]);
    let name = format!("claude_console_account:{id}");
    let mut command = vec!["HSET", &name];
    command.extend(fields.iter().map(String::as_str));
    client.text(&command);
    let url = format!("http://{}", upstream.sandbox().address());
    client.text(&["HSET", &name, "id", id, "accountType", kind, "apiUrl", &url]);
    client.text(&["SADD", "claude_console_account:index", id]);
    if kind == "shared" {
        client.text(&["SADD", "shared_claude_console_accounts", id]);
    }
}

/// Puts a group into Redis, as a v1 does, and binds the fixture's key to it.
fn add_group(client: &mut RedisClient) {
    let moment = "2026-11-23T04:22:33.255Z";
    let name = format!("account_group:{GROUP}");
    client.text(&[
        "HSET",
        &name,
        "id",
        GROUP,
        "name",
        "premium",
        "platform",
        "claude",
        "description",
        "",
        "createdAt",
        moment,
        "updatedAt",
        moment,
    ]);
    client.text(&["SADD", "account_groups", GROUP]);
    for member in MEMBERS.into_iter().chain(["an-oauth-account"]) {
        client.text(&["SADD", &format!("account_group_members:{GROUP}"), member]);
        client.text(&["SADD", &format!("account_groups_reverse:claude:{member}"), GROUP]);
    }
    bind(client, &format!("group:{GROUP}"));
}

fn bind(client: &mut RedisClient, binding: &str) {
    client.text(&["HSET", &format!("apikey:{V1_KEY_ID}"), "claudeAccountId", binding]);
}

async fn ask(relay: &Relay, session: &str) -> Answer {
    let body = json!({
        "model": "claude-sonnet-4-20250514", "max_tokens": 16,
        "messages": [{"role": "user", "content": format!("Say {session}.")}],
    });
    relay.send(&Request::messages(V1_KEY, body.to_string())).await
}

fn count(upstream: &Upstream) -> usize {
    upstream.sandbox().requests().requests.len()
}

async fn administer(relay: &Relay, request: Request) -> Answer {
    let answer = log_in(relay, "cr_admin_abcd1234", "S3cretPassw0rd").await;
    let token = format!("Bearer {}", answer.json()["token"].as_str().unwrap());
    relay.send(&request.header("authorization", &token)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_a_group_of_accounts_is_served_by_its_members_alone() {
    // Every account of the fixture is at the one that nobody may ask.
    let outside = Upstream::start().await;
    let members = [Upstream::start().await, Upstream::start().await];
    let mut relay = left_by(&Fixture::v1_full(), &outside);
    let mut client = RedisClient::connect(relay.redis().unwrap());
    for (id, upstream) in MEMBERS.into_iter().zip(&members) {
        add_account(&mut client, id, "group", upstream);
    }
    add_account(&mut client, "outsider", "shared", &outside);
    add_group(&mut client);
    let survey = command(&relay, &["adopt", "--dry-run", "--json"]).await;
    let told = ["accountGroups", "boundToGroups", "boundInVain"].map(|field| survey[field].clone());
    assert_eq!(told, [json!(1), json!(1), json!([])]);

    relay.run().await;
    for number in 0..6 {
        let answer = ask(&relay, &format!("hello {number}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let shares = members.each_ref().map(count);
    assert!(0 < shares[0] && 0 < shares[1], "both members serve: {shares:?}");
    let records = crate::stored::settled(&relay, 6).await;
    let decision = records[0]["decision"].to_string();
    assert!(decision.contains("not_in_group"), "{decision}");

    // One fails, then both: whoever is outside stands in for neither.
    for (upstream, status) in members.iter().zip([200, 500]) {
        let key = upstream.sandbox().requests().requests[0].key.clone().unwrap();
        let failing = Step::failing(500, "api_error", "no");
        upstream.sandbox().set_script(&key, failing).unwrap();
        for number in 0..2 {
            let answer = ask(&relay, &format!("{status} {number}")).await;
            let is_served = answer.status == 200;
            assert_eq!(is_served, status == 200, "{}: {}", answer.status, answer.text());
        }
    }
    assert_eq!(count(&outside), 0, "nobody outside of the group was asked");

    // What Relay changes of it, a v1 finds.
    let path = format!("/api/v2/account-groups/{GROUP}");
    let read = administer(&relay, Request::get(&path)).await.json();
    assert_eq!(
        read["group"]["accountIds"],
        json!(["an-oauth-account", "member-one", "member-two"])
    );
    let delete = Request::new("DELETE", &path);
    assert_eq!(administer(&relay, delete).await.status, 409);
    let leave = Request::new("DELETE", "/api/v2/accounts/claude-console/member-two");
    assert_eq!(administer(&relay, leave).await.status, 204);
    let wanted = json!({"name": "other", "platform": "claude-console", "accountIds": ["outsider"]});
    let wanted = Request::post("/api/v2/account-groups", wanted.to_string());
    let made = administer(&relay, wanted).await.json();
    let other = made["group"]["id"].as_str().unwrap().to_owned();
    assert!(relay.stop(), "{}", relay.printed());
    assert!(relay.command(&["adopt"]).await.success);
    let mut reader = V1Reader::on(relay.redis().unwrap());
    let left = ["member-one", "an-oauth-account"].map(str::to_owned);
    assert_eq!(reader.group_of(V1_KEY_ID), Some(BTreeSet::from(left)));
    assert_eq!(reader.members(&other), Some(BTreeSet::from(["outsider".to_owned()])));
    assert_eq!(reader.complaints(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_a_group_that_is_not_there_is_told_so_and_served_by_nobody() {
    let outside = Upstream::start().await;
    let mut relay = left_by(&Fixture::v1_full(), &outside);
    let mut client = RedisClient::connect(relay.redis().unwrap());
    for binding in [format!("group:{GROUP}"), "group:".to_owned()] {
        bind(&mut client, &binding);
        let survey = command(&relay, &["adopt", "--dry-run", "--json"]).await;
        let group = binding.trim_start_matches("group:");
        assert_eq!(survey["boundInVain"], json!([{"key": V1_KEY_ID, "group": group}]));
        relay.run().await;
        let refused = ask(&relay, "hello").await;
        assert_eq!(refused.status, 529, "{}", refused.text());
        assert_eq!(refused.json()["error"]["type"], "overloaded_error");
        assert!(relay.stop(), "{}", relay.printed());
    }
    assert_eq!(count(&outside), 0);

    bind(&mut client, "an-oauth-account");
    let survey = command(&relay, &["adopt", "--dry-run", "--json"]).await;
    let elsewhere = json!([{"key": V1_KEY_ID, "account": "an-oauth-account"}]);
    assert_eq!((&survey["boundElsewhere"], &survey["boundInVain"]), (&elsewhere, &json!([])));
}
